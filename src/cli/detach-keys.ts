import { UsageError } from './usage-error.ts';

const CTRL_P = 0x10;
const CTRL_Q = 0x11;

/** What `--detach-keys` means, nothing given: ctrl-p,ctrl-q. Bytes of `ctrl-@,x` and the like; an empty text is an empty sequence, which never matches. Errors: UsageError. */
export function parseDetachKeys(text: string | undefined): Uint8Array {
  if (text === undefined) return Uint8Array.of(CTRL_P, CTRL_Q);
  if (text === '') return new Uint8Array(0);
  const bytes = text.split(',').map((key) => {
    const control = /^ctrl-([a-z@[\\\]^_])$/i.exec(key);
    if (control?.[1] !== undefined) return control[1].toUpperCase().charCodeAt(0) & 0x1f;
    // oxlint-disable-next-line no-control-regex -- one ASCII character
    if (/^[\x00-\x7f]$/.test(key)) return key.charCodeAt(0);
    throw new UsageError(`Cannot use --detach-keys ${text}: expected keys like ctrl-p,ctrl-q or a`);
  });
  return Uint8Array.from(bytes);
}

/** Looks for the detach sequence in what is typed. Bytes that may begin it are held back until the next ones decide, and passed on when they do not. */
export class DetachScanner {
  readonly #sequence: Uint8Array;
  #matched = 0;

  constructor(sequence: Uint8Array) {
    this.#sequence = sequence;
  }

  /** What to pass on; `detached` when the sequence is complete: what follows it is dropped. */
  feed(bytes: Uint8Array): { readonly pass: Uint8Array; readonly detached: boolean } {
    const sequence = this.#sequence;
    if (sequence.length === 0) return { pass: bytes, detached: false };
    const pass: number[] = [];
    for (const byte of bytes) {
      // The longest end of what was held that still begins the sequence stays held.
      while (byte !== sequence[this.#matched] && this.#matched > 0) {
        const shorter = this.#fallback();
        pass.push(...sequence.subarray(0, this.#matched - shorter));
        this.#matched = shorter;
      }
      if (byte !== sequence[this.#matched]) {
        pass.push(byte);
      } else if (++this.#matched === sequence.length) {
        this.#matched = 0;
        return { pass: Uint8Array.from(pass), detached: true };
      }
    }
    return { pass: Uint8Array.from(pass), detached: false };
  }

  /** Length of the longest proper prefix of the sequence that ends the matched part. */
  #fallback(): number {
    const sequence = this.#sequence;
    for (let length = this.#matched - 1; length > 0; length--) {
      const start = this.#matched - length;
      let same = true;
      for (let i = 0; i < length && same; i++) same = sequence[i] === sequence[start + i];
      if (same) return length;
    }
    return 0;
  }
}
