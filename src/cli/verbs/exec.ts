import { resolve } from 'node:path';
import { execContainer } from '../../engine/exec.ts';
import { parseDetachKeys } from '../detach-keys.ts';
import { readEnvFile, variable } from '../environment.ts';
import { foreground } from '../foreground.ts';
import { BROKEN_PIPE_CODE } from '../failure.ts';
import { attachFlags } from '../attach-flags.ts';
import { UsageError } from '../usage-error.ts';
import { defineVerb } from '../verb.ts';

/** `tare exec`: the exit code is the command's. */
export const verb = defineVerb({
  usage: '[OPTIONS] CONTAINER COMMAND [ARG...]',
  flags: {
    detach: { type: 'switch', short: 'd', help: 'Do not wait for the command' },
    interactive: { type: 'switch', short: 'i', help: 'Connect standard input' },
    tty: { type: 'switch', short: 't', help: 'Give the command a terminal' },
    env: { type: 'list', short: 'e', value: 'KEY[=VALUE]', help: 'Set an environment variable' },
    'env-file': { type: 'list', value: 'FILE', help: 'Read environment variables from a file' },
    workdir: { type: 'text', short: 'w', value: 'PATH', help: 'Working directory in the container' },
    user: {
      type: 'text',
      short: 'u',
      value: 'USER[:GROUP]',
      help: 'User and group, names or numbers of the container',
    },
    privileged: { type: 'switch', help: 'Give the command all capabilities' },
    'detach-keys': attachFlags['detach-keys'],
  },
  args: { min: 2 },
  commandFollows: true,
  errorCode: 125,
  examples: [
    ['exec -it web sh', 'A shell in a running container'],
    ['exec -u nobody -e DEBUG=1 web id', 'As another user, with a variable'],
  ],
  async run(context, values, [name = '', ...argv]) {
    const terminal = values.tty === true;
    const interactive = values.interactive === true;
    const detach = values.detach === true;
    const keys = parseDetachKeys(values['detach-keys']);
    const files = values['env-file'].flatMap((path) =>
      readEnvFile('--env-file', path, resolve(context.cwd, path), context.env),
    );
    const env = [...files, ...values.env.flatMap((text) => variable('--env', text, context.env))];
    if (terminal && interactive && !detach) {
      const { inputIsNoTerminal } = await import('../terminal.ts');
      if (inputIsNoTerminal()) throw new UsageError('the input device is not a TTY');
    }
    const size = terminal ? (await import('../terminal.ts')).ownTerminalSize() : undefined;
    const session = await execContainer(
      context.engine,
      name,
      {
        argv,
        terminal,
        ...(size === undefined ? {} : { terminalSize: size }),
        openStdin: interactive,
        detach,
        privileged: values.privileged === true,
        ...(env.length === 0 ? {} : { env }),
        ...(values.workdir === undefined ? {} : { workdir: values.workdir }),
        ...(values.user === undefined ? {} : { user: values.user }),
      },
      detach ? 'detach' : terminal ? 'pipe' : 'inherit',
    );
    if (detach) {
      context.print(`${session.id}\n`);
      session.close();
      return 0;
    }
    const end = await foreground(session, {
      stdin: terminal && interactive,
      stdout: terminal,
      stderr: terminal,
      terminal,
      forwardSignals: true,
      detachKeys: keys,
    });
    session.close();
    switch (end.kind) {
      case 'exited':
        return end.code;
      case 'detached':
        return 0;
      case 'broken-pipe':
        return BROKEN_PIPE_CODE;
    }
  },
});
