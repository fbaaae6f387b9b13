import { readFileSync, readdirSync, readlinkSync } from 'node:fs';

/** What tests could leave on the machine, by kind, each as readable names. */
export type Traces = Readonly<
  Record<'mount' | 'cgroup' | 'process' | 'network namespace' | 'network link' | 'temporary file', ReadonlySet<string>>
>;

/** What is there now. `lane` marks the processes this run started: it is in their environment. */
export function takeTraces(lane: string): Traces {
  const processes = readProcesses(lane);
  return {
    mount: new Set(
      lines('/proc/self/mountinfo')
        .map((line) => line.split(' '))
        .map((f) => `${f[4] ?? ''} (${f[f.indexOf('-') + 1] ?? ''}, id ${f[0] ?? ''})`),
    ),
    cgroup: new Set(cgroups('/sys/fs/cgroup', 3)),
    process: new Set(processes.map(({ pid, title }) => `${pid} ${title}`)),
    'network namespace': new Set(networkNamespaces()),
    'network link': new Set(lines('/proc/self/net/dev').flatMap((line) => /^\s*([^:|\s]+):/.exec(line)?.[1] ?? [])),
    'temporary file': new Set(
      ['/tmp', '/var/tmp', '/run', '/dev/shm'].flatMap((dir) =>
        names(dir)
          .filter((name) => /^(?:tare-|podman-run-|libpod_rootless)/.test(name) && name !== 'tare-test-cache')
          .map((name) => `${dir}/${name}`),
      ),
    ),
  };
}

/** What `after` has and `before` had not, as lines. */
export function newTraces(before: Traces, after: Traces): string[] {
  return (Object.keys(after) as (keyof Traces)[]).flatMap((kind) =>
    [...after[kind]].filter((item) => !before[kind].has(item)).map((item) => `${kind}: ${item}`),
  );
}

/** Pids of the processes that carry this lane's mark, our own left out. */
export function stragglers(lane: string): number[] {
  return readProcesses(lane)
    .filter(({ marked }) => marked)
    .map(({ pid }) => pid);
}

/** Monitors and holders of anybody, and everything that carries the mark. */
function readProcesses(lane: string): { pid: number; title: string; marked: boolean }[] {
  return names('/proc')
    .filter((name) => /^\d+$/.test(name) && Number(name) !== process.pid)
    .map((name) => {
      const title = text(`/proc/${name}/cmdline`).replaceAll('\0', ' ').trim();
      return {
        pid: Number(name),
        title,
        marked: text(`/proc/${name}/environ`).split('\0').includes(`TARE_LANE=${lane}`),
      };
    })
    .filter(({ title, marked }) => marked || /^tare[-:] ?(monitor|user namespace)/.test(title));
}

function cgroups(dir: string, depth: number): string[] {
  if (depth === 0) return [];
  let entries;
  try {
    entries = readdirSync(dir, { withFileTypes: true });
  } catch {
    return [];
  }
  return entries
    .filter((entry) => entry.isDirectory())
    .flatMap(({ name }) => {
      const path = `${dir}/${name}`;
      // The shared parent is meant to stay.
      return [...(/^tare-/.test(name) || /\/tare$/.test(dir) ? [path] : []), ...cgroups(path, depth - 1)];
    });
}

function networkNamespaces(): string[] {
  const held = names('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map((pid) => {
      try {
        return readlinkSync(`/proc/${pid}/ns/net`);
      } catch {
        return '';
      }
    });
  return [...new Set([...held.filter(Boolean), ...names('/run/netns').map((name) => `/run/netns/${name}`)])];
}

function names(dir: string): string[] {
  try {
    return readdirSync(dir);
  } catch {
    return [];
  }
}

function text(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}

const lines = (path: string): string[] => text(path).split('\n').filter(Boolean);
