import { runContainer } from '../../engine/run.ts';
import { attachFlags } from '../attach-flags.ts';
import { createFlags } from '../create-flags.ts';
import { createOptions } from '../create-options.ts';
import type { FlagTable } from '../flag-table.ts';
import { idFile } from '../id-file.ts';
import { inPod } from '../in-pod.ts';
import { stayAttached, streamsOf } from '../stay-attached.ts';
import { UsageError } from '../usage-error.ts';
import { defineVerb } from '../verb.ts';
import { watched } from '../watch-pull.ts';

const flags = {
  ...createFlags,
  ...attachFlags,
  detach: { type: 'switch', short: 'd', help: 'Run in the background and print the id' },
  attach: { type: 'list', short: 'a', value: 'stdin|stdout|stderr', help: 'Connect only these streams' },
} as const satisfies FlagTable;

/** `tare run`: the exit code is the container's. */
export const verb = defineVerb({
  usage: '[OPTIONS] IMAGE|host:[/PATH] [COMMAND] [ARG...]',
  flags,
  args: { min: 0 },
  commandFollows: true,
  errorCode: 125,
  examples: [
    [
      'run --rm host: sh -c "echo hello from $(hostname)"',
      "Try something on a throw-away copy of this machine's file system",
    ],
    ['run --rm -it docker.io/library/alpine sh', 'A shell in an image'],
    ['run -d --name web -m 512m -v ./site:/srv:ro IMAGE', 'A service with a memory limit and a folder of this machine'],
    ['run --rm --rootfs ./debian:O apt-get update', 'A directory as root file system; what changes is thrown away'],
  ],
  async run(context, values, args) {
    const detach = values.detach === true;
    const streams = streamsOf(values.attach, values.interactive === true);
    if (detach && values.attach.length > 0) throw new UsageError('Cannot use --detach and --attach together');
    const size = values.tty === true ? (await import('../terminal.ts')).ownTerminalSize() : undefined;
    const options = {
      ...createOptions({ ...values, interactive: streams.stdin || values.interactive === true }, args, context),
      ...(size === undefined ? {} : { terminalSize: size }),
    };
    const stay = detach ? undefined : await stayAttached(streams, values.tty === true, values);
    using ids = idFile('--cidfile', values.cidfile, context.cwd);
    const container = await watched(context, values.quiet === true, (how) =>
      inPod(context.engine, options, (all) => runContainer(context.engine, all, { detach, ...how })),
    );
    ids.write(container.id);
    if (values.pidfile !== undefined)
      idFile('--pidfile', values.pidfile, context.cwd, true).write(String(container.pid));
    context.warn(container.warnings);
    if (stay !== undefined) return await stay(container, values.rm === true);
    context.print(`${container.id}\n`);
    return 0;
  },
});
