import { pullImage } from '../../engine/images.ts';
import { forEach } from '../for-each.ts';
import { credsFlag, registryAccess, registryFlags } from '../registry-flags.ts';
import { defineVerb } from '../verb.ts';
import { watchPull } from '../watch-pull.ts';

/** `tare pull`: progress goes to stderr, the image id to stdout. */
export const verb = defineVerb({
  usage: '[OPTIONS] IMAGE [IMAGE...]',
  flags: {
    quiet: { type: 'switch', short: 'q', help: 'Print the image id only' },
    platform: { type: 'text', value: 'OS/ARCH[/VARIANT]', help: "Platform to fetch (default: this machine's)" },
    ...credsFlag,
    ...registryFlags,
  },
  args: { min: 1 },
  examples: [
    ['pull docker.io/library/busybox', 'From a registry'],
    ['pull oci-archive:./image.tar', 'From a file'],
  ],
  async run(context, values, references) {
    using watch = watchPull(context, values.quiet === true);
    const code = await forEach(context, references, async (reference) => {
      const { imageId } = await pullImage(context.engine, reference, {
        cwd: context.cwd,
        registryAccess: registryAccess(context, values),
        signal: watch.signal,
        ...(values.platform === undefined ? {} : { platform: values.platform }),
        ...(watch.onProgress === undefined ? {} : { onProgress: watch.onProgress }),
      });
      watch.next();
      context.print(`${imageId}\n`);
    });
    return watch.interrupted === 0 ? code : 128 + watch.interrupted;
  },
});
