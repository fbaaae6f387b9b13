import { spawn } from 'node:child_process';
import { closeSync, mkdirSync, openSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Missing } from './case.ts';
import type { Lab } from './lab.ts';

/**
 * The docker client on a daemon that answers. Where dockerd is installed and none answers, starts one with private folders and without
 * networking for as long as `stack` lives. Loads our image. Errors: Missing.
 */
export async function startDocker(
  lab: Lab,
  stack: AsyncDisposableStack,
): Promise<{ readonly command: readonly string[]; readonly image: string }> {
  const client = lab.program('docker');
  const command = (await answers(lab, [client])) ? [client] : await privateDaemon(lab, client, stack);
  const image = lab.name('busybox');
  await lab.run([...command, 'import', (await lab.image()).tar, image]);
  stack.defer(async () => void (await lab.run([...command, 'rmi', '-f', image])));
  return { command, image };
}

async function answers(lab: Lab, command: readonly string[]): Promise<boolean> {
  return lab.run([...command, 'version', '--format', '{{.Server.Version}}']).then(
    () => true,
    () => false,
  );
}

async function privateDaemon(lab: Lab, client: string, stack: AsyncDisposableStack): Promise<readonly string[]> {
  let program: string;
  try {
    program = lab.program('dockerd');
  } catch {
    throw new Missing('no docker daemon answers, and dockerd is not installed');
  }
  const dir = join(lab.dir, 'd');
  mkdirSync(dir, { recursive: true });
  const host = `unix://${join(dir, 's')}`;
  const folders = ['--data-root', join(dir, 'data'), '--exec-root', join(dir, 'exec'), '--pidfile', join(dir, 'pid')];
  const network = [
    '--bridge',
    'none',
    '--iptables=false',
    '--ip6tables=false',
    '--ip-forward=false',
    '--ip-masq=false',
  ];
  const log = openSync(join(dir, 'log'), 'a');
  const args = ['--host', host, ...folders, ...network, '--cgroup-parent', lab.cgroupParent];
  const daemon = spawn(program, args, { stdio: ['ignore', log, log], detached: true });
  closeSync(log);
  const gone = new Promise<void>((resolve) => {
    daemon.once('exit', () => resolve());
    daemon.once('error', () => resolve());
  });
  stack.defer(async () => {
    daemon.kill('SIGTERM');
    await Promise.race([gone, sleep(20_000, undefined, { ref: false })]);
    daemon.kill('SIGKILL');
  });
  const command = [client, '--host', host];
  for (let attempt = 0; attempt < 100 && daemon.exitCode === null; attempt++) {
    lab.signal.throwIfAborted();
    if (await answers(lab, command)) return command;
    await sleep(200);
  }
  throw new Missing(
    `no docker daemon answers, and our own did not start: ${await lab.run(['tail', '-n', '2', join(dir, 'log')])}`,
  );
}
