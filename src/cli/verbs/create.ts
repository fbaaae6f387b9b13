import { createContainer } from '../../engine/create.ts';
import { createFlags } from '../create-flags.ts';
import { createOptions } from '../create-options.ts';
import { idFile } from '../id-file.ts';
import { inPod } from '../in-pod.ts';
import { UsageError } from '../usage-error.ts';
import { defineVerb } from '../verb.ts';
import { watched } from '../watch-pull.ts';

/** `tare create`: prints the id. */
export const verb = defineVerb({
  usage: '[OPTIONS] IMAGE|host:[/PATH] [COMMAND] [ARG...]',
  flags: {
    ...createFlags,
    'init-ctr': {
      type: 'text',
      choices: ['always', 'once'],
      help: 'In a pod: run it to its end before the others start, at each start of the pod, or once',
    },
  },
  args: { min: 0 },
  commandFollows: true,
  errorCode: 125,
  examples: [['create --name job host: make test', 'A container to start later with tare start -a job']],
  async run(context, values, args) {
    const options = createOptions(values, args, context);
    const init = values['init-ctr'] as 'always' | 'once' | undefined;
    if (init !== undefined && options.pod === undefined)
      throw new UsageError('Cannot use --init-ctr without --pod: it runs before the others of a pod');
    const asked = init === undefined ? options : { ...options, initContainer: init };
    using ids = idFile('--cidfile', values.cidfile, context.cwd);
    const { id, warnings } = await watched(context, values.quiet === true, (how) =>
      inPod(context.engine, asked, (all) => createContainer(context.engine, all, how)),
    );
    ids.write(id);
    context.warn(warnings);
    context.print(`${id}\n`);
    return 0;
  },
});
