import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import type { Case, Contender } from '../case.ts';
import { disksAtRest } from '../disk.ts';
import type { Lab } from '../lab.ts';

/** Each sample begins with an empty store, on disks at rest. */
function pulling(
  name: string,
  place: string,
  command: (lab: Lab, reference: string) => readonly string[],
  subject = false,
): Contender {
  return {
    name,
    subject,
    async prepare(lab) {
      const { reference } = await lab.largeImage();
      const argv = command(lab, reference);
      return async () => {
        await emptied(lab, place);
        return lab.timer.milliseconds(argv);
      };
    },
  };
}

async function emptied(lab: Lab, place: string): Promise<string> {
  const dir = join(lab.dir, place);
  for (const each of [dir, join(lab.runDir, place)]) rmSync(each, { recursive: true, force: true });
  mkdirSync(dir);
  await disksAtRest(lab);
  return dir;
}

const tarePull = (lab: Lab, reference: string): readonly string[] => [...lab.tare('pull-t'), 'pull', '-q', reference];
const podmanPull = (lab: Lab, reference: string): readonly string[] => [
  ...lab.podman('pull-p'),
  'pull',
  '-q',
  '--tls-verify=false',
  reference,
];

/** What no engine can be much faster than without another gzip: fetch, decompress and unpack each layer at once, keeping nothing that a store needs. */
const pipes: Contender = {
  name: 'curl | gzip | tar',
  async prepare(lab) {
    const { domain, image } = await lab.largeImage();
    const urls = image.layers.map((path) => `http://${domain}/v2/large/blobs/sha256:${path.split('/').at(-1) ?? ''}`);
    const script = `cd "$0"; for url; do n=$((n+1)); mkdir $n; (curl -sf "$url" | gzip -dc | tar -x -C $n) & done; wait`;
    for (const program of ['curl', 'gzip', 'tar']) lab.program(program);
    return async () => lab.timer.milliseconds(['sh', '-c', script, await emptied(lab, 'pull-c'), ...urls]);
  },
};

/** From a registry on this machine into an empty store. */
export const pull: Case = {
  name: 'pull',
  title: 'pull of a large image from a local registry (940 MB, 43,600 files, 3 gzip layers)',
  unit: 'ms',
  share: 0.1,
  contenders: [pulling('tare pull', 'pull-t', tarePull, true), pulling('podman pull', 'pull-p', podmanPull), pipes],
  goals: [
    {
      text: 'tare pull ≤ 0.45 × podman pull',
      holds: (median) => ({ value: median('tare pull'), limit: 0.45 * median('podman pull') }),
    },
  ],
};

function peakOf(name: string, place: string, command: typeof tarePull, subject = false): Contender {
  return {
    name,
    subject,
    async prepare(lab) {
      const argv = command(lab, (await lab.largeImage()).reference);
      return async () => {
        await emptied(lab, place);
        return peakKb(argv);
      };
    },
  };
}

/** The high-water mark of a command's own process, looked at until it ends. */
async function peakKb([program = '', ...args]: readonly string[]): Promise<number> {
  const child = spawn(program, args, { stdio: 'ignore' });
  const ended = once(child, 'close') as Promise<[number]>;
  let peak = 0;
  const watch = setInterval(() => {
    try {
      const status = readFileSync(`/proc/${child.pid ?? 0}/status`, 'utf8');
      peak = Math.max(peak, Number(/^VmHWM:\s+(\d+)/m.exec(status)?.[1] ?? 0));
    } catch {
      // It has ended.
    }
  }, 20);
  const [code] = await ended;
  clearInterval(watch);
  if (code !== 0) throw new Error(`Cannot measure ${program}: it ended with ${code}`);
  return peak;
}

/** What a pull takes at its most. */
export const pullMemory: Case = {
  name: 'pull-memory',
  title: 'the same pull: the most memory resident in the process that pulls',
  unit: 'kB',
  share: 0,
  contenders: [peakOf('tare pull', 'pull-t', tarePull, true), peakOf('podman pull', 'pull-p', podmanPull)],
  goals: [{ text: 'tare pull ≤ 300 MB', holds: (median) => ({ value: median('tare pull'), limit: 300_000 }) }],
};
