import { pullImage } from '../../engine/images.ts';
import { isTerminal, windowSize } from '../../sys/tty.ts';
import { forEach } from '../for-each.ts';
import { type PullProgress, barProgress, plainProgress } from '../pull-progress.ts';
import { defineVerb } from '../verb.ts';

/** `tare pull`: progress goes to stderr, the image id to stdout. */
export const verb = defineVerb({
  usage: '[OPTIONS] IMAGE [IMAGE...]',
  flags: {
    quiet: { type: 'switch', short: 'q', help: 'Print the image id only' },
    platform: { type: 'text', value: 'OS/ARCH[/VARIANT]', help: "Platform to fetch (default: this machine's)" },
  },
  args: { min: 1 },
  examples: [
    ['pull docker.io/library/busybox', 'From a registry'],
    ['pull oci-archive:./image.tar', 'From a file'],
  ],
  async run(context, values, references) {
    const abort = new AbortController();
    let interrupted = 0;
    const onSignal = (number: number) => (): void => {
      // The second time nobody wants to wait for tidying up.
      if (interrupted !== 0) process.exit(128 + number);
      interrupted = number;
      abort.abort();
    };
    process.on('SIGINT', onSignal(2));
    process.on('SIGTERM', onSignal(15));
    const code = await forEach(context, references, async (reference) => {
      using progress = values.quiet === true ? undefined : progressFor(context.complain, context.now);
      const { imageId } = await pullImage(context.engine, reference, {
        cwd: context.cwd,
        signal: abort.signal,
        ...(values.platform === undefined ? {} : { platform: values.platform }),
        ...(progress === undefined ? {} : { onProgress: progress.onProgress }),
      });
      progress?.[Symbol.dispose]();
      context.print(`${imageId}\n`);
    });
    return interrupted === 0 ? code : 128 + interrupted;
  },
});

function progressFor(write: (text: string) => void, now: () => number): PullProgress {
  return isTerminal(2) ? barProgress(write, () => windowSize(2), now) : plainProgress(write);
}
