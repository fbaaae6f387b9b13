import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Lab } from './lab.ts';

/** Debian's docker-registry with a folder of its own, on plain http. `stack` ends it. Resolves to its `localhost:PORT`. Errors: Missing. */
export async function startRegistry(lab: Lab, stack: AsyncDisposableStack, name: string): Promise<string> {
  const program = lab.program('docker-registry');
  const dir = join(lab.dir, `registry-${name}`);
  mkdirSync(dir, { recursive: true });
  const port = 20_000 + ((process.pid * 7 + name.length * 131) % 30_000);
  const config = join(lab.dir, `registry-${name}.yml`);
  writeFileSync(
    config,
    `version: 0.1
log: {level: error, accesslog: {disabled: true}}
storage: {filesystem: {rootdirectory: ${dir}}}
http: {addr: "127.0.0.1:${port}"}
`,
  );
  const child = spawn(program, ['serve', config], { stdio: 'ignore' });
  stack.defer(async () => {
    child.kill('SIGKILL');
    if (child.exitCode === null && child.signalCode === null) await once(child, 'close');
  });
  const domain = `localhost:${port}`;
  for (let tries = 0; tries < 200; tries++) {
    if (child.exitCode !== null) throw new Error(`Cannot start docker-registry on port ${port}`);
    try {
      await fetch(`http://${domain}/v2/`);
      return domain;
    } catch {
      await sleep(25);
    }
  }
  throw new Error('Cannot start docker-registry: it does not answer');
}
