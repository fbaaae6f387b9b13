import type { PullEvent } from '../image/pull.ts';
import { isTerminal, windowSize } from '../sys/tty.ts';
import type { Context } from './context.ts';
import { barProgress, plainProgress, pullWords, type ProgressWords, type PullProgress } from './pull-progress.ts';

/** What a verb that moves images passes to the engine. */
export interface PullWatch extends Disposable {
  /** Draws the pull: in place on a terminal, plain lines elsewhere; absent when quiet. */
  readonly onProgress?: (event: PullEvent) => void;
  /** Aborts at the first SIGINT or SIGTERM; the second ends this process at once. */
  readonly signal: AbortSignal;
  /** Number of the signal that aborted; 0: none. */
  readonly interrupted: number;
  /** Leaves what is drawn as it is: the next pull begins below it. */
  next(): void;
}

/** Watches over pulls or pushes until the end of the scope: progress on standard error, signals as a wish to stop. */
export function watchPull(
  context: Pick<Context, 'complain' | 'now'>,
  quiet: boolean,
  words: ProgressWords = pullWords,
): PullWatch {
  const abort = new AbortController();
  let interrupted = 0;
  const listener = (number: number) => (): void => {
    // The second time nobody wants to wait for tidying up.
    if (interrupted !== 0) process.exit(128 + number);
    interrupted = number;
    abort.abort();
  };
  const [onInterrupt, onTerminate] = [listener(2), listener(15)];
  process.on('SIGINT', onInterrupt).on('SIGTERM', onTerminate);
  let progress: PullProgress | undefined;
  const next = (): void => {
    progress?.[Symbol.dispose]();
    progress = undefined;
  };
  return {
    ...(quiet
      ? {}
      : {
          onProgress: (event) => {
            progress ??= isTerminal(2)
              ? barProgress(context.complain, () => windowSize(2), context.now, words)
              : plainProgress(context.complain, words);
            progress.onProgress(event);
          },
        }),
    signal: abort.signal,
    get interrupted() {
      return interrupted;
    },
    next,
    [Symbol.dispose]() {
      next();
      process.off('SIGINT', onInterrupt).off('SIGTERM', onTerminate);
    },
  };
}

/** Runs what may pull or push, and then do something else, under a watch; `next` is the watch's. Errors: those of `act`, after a signal with its exit code. */
export async function watched<T>(
  context: Pick<Context, 'complain' | 'now'>,
  quiet: boolean,
  act: (how: Pick<PullWatch, 'onProgress' | 'signal'>, next: () => void) => Promise<T>,
  words?: ProgressWords,
): Promise<T> {
  using watch = watchPull(context, quiet, words);
  const { onProgress, signal } = watch;
  try {
    return await act({ signal, ...(onProgress === undefined ? {} : { onProgress }) }, watch.next);
  } catch (error) {
    if (watch.interrupted !== 0 && error instanceof Error) Object.assign(error, { exitCode: 128 + watch.interrupted });
    throw error;
  }
}
