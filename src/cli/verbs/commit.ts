import { commitContainer } from '../../engine/commit.ts';
import { idFile } from '../id-file.ts';
import { defineVerb } from '../verb.ts';
import { watched } from '../watch-pull.ts';

/** `tare commit`: prints the id of the image. */
export const verb = defineVerb({
  usage: '[OPTIONS] CONTAINER [NAME]',
  flags: {
    author: { type: 'text', short: 'a', help: 'Who made it, like "A. Person <a@example.com>"' },
    change: {
      type: 'list',
      short: 'c',
      value: 'INSTRUCTION',
      help: 'Set CMD, ENTRYPOINT, ENV, EXPOSE, LABEL, ONBUILD, STOPSIGNAL, USER, VOLUME or WORKDIR of the image',
    },
    format: { type: 'text', short: 'f', choices: ['oci', 'docker'], standard: 'oci', help: 'Form of the manifest' },
    iidfile: { type: 'text', value: 'FILE', help: 'Write the id of the image to a file' },
    message: { type: 'text', short: 'm', help: 'A comment for the history' },
    pause: {
      type: 'switch',
      short: 'p',
      standard: 'true',
      help: 'Let its processes stand still meanwhile',
    },
    quiet: { type: 'switch', short: 'q', help: 'Accepted for compatibility: only the id is printed anyway' },
    squash: { type: 'switch', short: 's', help: 'One layer with all files, instead of one more on those of the image' },
  },
  args: { min: 1, max: 2 },
  examples: [
    ['commit job tool:fixed', 'What a container has become, as an image'],
    ['commit -c \'CMD ["serve"]\' -c "ENV MODE=prod" job tool:prod', 'With another command and a variable'],
  ],
  async run(context, values, [container = '', name]) {
    const { author, change: changes, message, pause, squash = false, format } = values;
    using file = idFile('--iidfile', values.iidfile, context.cwd, true);
    const { imageId, warnings } = await watched(context, true, ({ signal }) =>
      commitContainer(context.engine, container, {
        changes,
        squash,
        signal,
        format: format === 'docker' ? 'docker' : 'oci',
        ...(name === undefined ? {} : { name }),
        ...(author === undefined ? {} : { author }),
        ...(message === undefined ? {} : { message }),
        ...(pause === undefined ? {} : { pause }),
      }),
    );
    context.warn(warnings);
    file.write(`sha256:${imageId}`);
    context.print(`sha256:${imageId}\n`);
    return 0;
  },
});
