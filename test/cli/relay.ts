/** Runs a command as a session of `foreground`: argv is the options as JSON, then the command. The last line on stderr says how it ended. */
import { spawn } from 'node:child_process';
import { constants } from 'node:os';
import { parseDetachKeys } from '../../src/cli/detach-keys.ts';
import { type Session, foreground } from '../../src/cli/foreground.ts';
import { writeNow } from '../../src/cli/output.ts';

const [options = '{}', command = 'true', ...args] = process.argv.slice(2);
const given = JSON.parse(options) as {
  stdin?: boolean;
  terminal?: boolean;
  forwardSignals?: boolean;
  detachKeys?: string;
  crash?: boolean;
};
const child = spawn(command, args, { stdio: ['pipe', 'pipe', 'pipe'], detached: true });
child.stdin.on('error', () => {});

const drained: Promise<unknown>[] = [];
const session: Session = {
  onOutput(handler) {
    for (const [stream, pipe] of [
      [1, child.stdout],
      [2, child.stderr],
    ] as const) {
      drained.push(
        (async () => {
          for await (const chunk of pipe) await handler(stream, chunk as Uint8Array);
        })(),
      );
    }
  },
  writeStdin: (bytes) => new Promise((resolve) => child.stdin.write(bytes, () => resolve())),
  endStdin: () => child.stdin.end(),
  resize: (rows, cols) => writeNow(2, `[${rows}x${cols}]`),
  kill: async (signal) => {
    const name = Object.entries(constants.signals).find(([, number]) => number === signal)?.[0];
    child.kill(name as NodeJS.Signals);
  },
  exit: new Promise((resolve) => {
    child.on('exit', (code, signal) => {
      void Promise.all(drained).then(() =>
        resolve({ code: code ?? 128 + (signal === null ? 0 : constants.signals[signal]) }),
      );
    });
  }),
};
if (given.crash === true)
  setTimeout(() => {
    throw new Error('crashed on purpose');
  }, 300);
const end = await foreground(session, {
  stdin: given.stdin ?? false,
  stdout: true,
  stderr: true,
  terminal: given.terminal ?? false,
  forwardSignals: given.forwardSignals ?? true,
  detachKeys: parseDetachKeys(given.detachKeys ?? 'ctrl-p,ctrl-q'),
});
if (end.kind !== 'exited') child.kill('SIGKILL');
writeNow(2, `\nend: ${JSON.stringify(end)}\n`);
process.exit(0);
