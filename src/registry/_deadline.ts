/** A time limit that is started and stopped often: one timer, re-armed. It does not keep the process alive by itself. */
export class Deadline {
  readonly #expired: (state: string) => void;
  #timer: NodeJS.Timeout | undefined;
  #ms = 0;
  #state = '';
  #running = false;

  constructor(expired: (state: string) => void) {
    this.#expired = expired;
  }

  start(ms: number, state: string): void {
    this.#running = true;
    this.#state = state;
    if (this.#timer !== undefined && this.#ms === ms) {
      this.#timer.refresh();
      return;
    }
    clearTimeout(this.#timer);
    this.#ms = ms;
    this.#timer = setTimeout(() => this.#running && this.#expired(this.#state), ms).unref();
  }

  stop(): void {
    this.#running = false;
  }
}
