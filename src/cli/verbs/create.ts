import { createContainer } from '../../engine/create.ts';
import { createFlags } from '../create-flags.ts';
import { createOptions } from '../create-options.ts';
import { idFile } from '../id-file.ts';
import { defineVerb } from '../verb.ts';
import { watched } from '../watch-pull.ts';

/** `tare create`: prints the id. */
export const verb = defineVerb({
  usage: '[OPTIONS] IMAGE|host:[/PATH] [COMMAND] [ARG...]',
  flags: createFlags,
  args: { min: 0 },
  commandFollows: true,
  errorCode: 125,
  examples: [['create --name job host: make test', 'A container to start later with tare start -a job']],
  async run(context, values, args) {
    const options = createOptions(values, args, context);
    using ids = idFile('--cidfile', values.cidfile, context.cwd);
    const { id, warnings } = await watched(context, values.quiet === true, (how) =>
      createContainer(context.engine, options, how),
    );
    ids.write(id);
    context.warn(warnings);
    context.print(`${id}\n`);
    return 0;
  },
});
