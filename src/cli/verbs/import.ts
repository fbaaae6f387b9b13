import { importImage } from '../../engine/import-image.ts';
import { isTerminal } from '../../sys/tty.ts';
import { UsageError } from '../usage-error.ts';
import { defineVerb } from '../verb.ts';
import { watched } from '../watch-pull.ts';

/** `tare import`: prints the id of the image. */
export const verb = defineVerb({
  usage: '[OPTIONS] FILE|URL|- [NAME]',
  flags: {
    change: {
      type: 'list',
      short: 'c',
      value: 'INSTRUCTION',
      help: 'Set CMD, ENTRYPOINT, ENV, EXPOSE, LABEL, ONBUILD, STOPSIGNAL, USER, VOLUME or WORKDIR of the image',
    },
    message: { type: 'text', short: 'm', help: 'A comment for the history' },
    platform: { type: 'text', value: 'OS/ARCH[/VARIANT]', help: 'What the image is made for (default: this machine)' },
    quiet: { type: 'switch', short: 'q', help: 'Accepted for compatibility: only the id is printed anyway' },
  },
  args: { min: 1, max: 2 },
  examples: [
    ['import -c \'CMD ["sh"]\' rootfs.tar.gz base:1', 'The tar of a root file system, plain, gzip or zstd'],
    ['import https://example.org/rootfs.tar.zst', 'From an address, without a name'],
  ],
  async run(context, values, [input = '', name]) {
    if (input === '-' && isTerminal(0))
      throw new UsageError('Cannot import from a terminal: name a file, or redirect standard input');
    const { change: changes, message, platform } = values;
    const { imageId } = await watched(context, true, ({ signal }) =>
      importImage(context.engine, {
        input: input === '-' ? 0 : input,
        cwd: context.cwd,
        changes,
        signal,
        ...(name === undefined ? {} : { name }),
        ...(message === undefined ? {} : { message }),
        ...(platform === undefined ? {} : { platform }),
      }),
    );
    context.print(`sha256:${imageId}\n`);
    return 0;
  },
});
