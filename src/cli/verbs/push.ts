import { writeFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { pushImage } from '../../engine/push.ts';
import { pushWords } from '../pull-progress.ts';
import { credsFlag, registryAccess, registryFlags } from '../registry-flags.ts';
import { defineVerb } from '../verb.ts';
import { watched } from '../watch-pull.ts';

/** `tare push`: progress goes to stderr, the digest at the destination to stdout. */
export const verb = defineVerb({
  usage: '[OPTIONS] IMAGE [DESTINATION]',
  flags: {
    quiet: { type: 'switch', short: 'q', help: 'Print nothing' },
    all: { type: 'switch', help: 'All images of an index; IMAGE must be a place that has them (docker://, oci:)' },
    digestfile: { type: 'text', value: 'FILE', help: 'Write the digest at the destination to a file' },
    format: {
      type: 'text',
      short: 'f',
      choices: ['oci', 'v2s2'],
      help: "Convert the manifest to OCI's or Docker's form (default: as it is)",
    },
    'compression-format': {
      type: 'text',
      choices: ['gzip', 'zstd'],
      help: 'Compress layers that come in another format anew (default: as they are)',
    },
    'compression-level': { type: 'integer', help: 'For layers that are compressed: 0 to 9 for gzip, 1 to 22 for zstd' },
    ...credsFlag,
    ...registryFlags,
    ...credsFlag,
  },
  args: { min: 1, max: 2 },
  examples: [
    ['push quay.io/me/tool:1.0', 'To the registry that its name says'],
    ['push tool localhost:5000/tool:1.0', 'To another place and name'],
    ['push tool oci:./layout:tool', 'To a directory'],
  ],
  async run(context, values, [image = '', destination]) {
    const level = values['compression-level'];
    const format = values['compression-format'];
    const {
      isSame,
      digest,
      destination: place,
    } = await watched(
      context,
      values.quiet === true,
      (how) =>
        pushImage(context.engine, image, destination, {
          cwd: context.cwd,
          ...registryAccess(context, values),
          ...how,
          ...(values.all === undefined ? {} : { all: values.all }),
          ...(values.format === undefined ? {} : { format: values.format === 'oci' ? 'oci' : 'v2s2' }),
          ...(format === undefined ? {} : { compressionFormat: format === 'gzip' ? 'gzip' : 'zstd' }),
          ...(level === undefined ? {} : { compressionLevel: level }),
        }),
      pushWords,
    );
    if (!isSame) context.inform(`${place} has another digest than ${image}: it was compressed or converted on the way`);
    if (values.digestfile !== undefined) writeFileSync(resolve(context.cwd, values.digestfile), digest);
    if (values.quiet !== true) context.print(`${digest}\n`);
    return 0;
  },
});
