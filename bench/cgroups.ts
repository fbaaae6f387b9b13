import { mkdirSync, readdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** Where this process sees the cgroup hierarchies, each once: several for v1 and hybrid, one for v2. */
export function cgroupMounts(mountinfo: string = readFileSync('/proc/self/mountinfo', 'utf8')): string[] {
  const roots = new Map<string, string>();
  for (const line of mountinfo.split('\n')) {
    const [left = '', right = ''] = line.split(' - ');
    const [, , device = '', , target = ''] = left.split(' ');
    if (/^cgroup2? /.test(right)) roots.set(device, target);
  }
  return [...roots.values()];
}

/** Makes the cgroup `parent` ("/name") in every hierarchy; gives their directories. */
export function makeCgroups(parent: string): string[] {
  return cgroupMounts().map((mount) => {
    const dir = join(mount, parent);
    mkdirSync(dir, { recursive: true });
    // cpuset v1: children start with the parent's CPUs and memory nodes instead of none. v2: children get every controller there is.
    for (const file of ['cpuset.cpus', 'cpuset.mems']) tryWrite(join(dir, file), tryRead(join(mount, file)));
    tryWrite(join(dir, 'cgroup.clone_children'), '1');
    const controllers = (tryRead(join(dir, 'cgroup.controllers')) ?? '').split(/\s+/).filter((name) => name !== '');
    tryWrite(join(dir, 'cgroup.subtree_control'), controllers.map((name) => `+${name}`).join(' '));
    return dir;
  });
}

/** Removes the cgroup `parent` and everything below it from every hierarchy. What still has a process stays. */
export function removeCgroups(parent: string): void {
  for (const mount of cgroupMounts()) removeTree(join(mount, parent));
}

function removeTree(dir: string): void {
  try {
    for (const entry of readdirSync(dir, { withFileTypes: true })) {
      if (entry.isDirectory()) removeTree(join(dir, entry.name));
    }
    rmdirSync(dir);
  } catch {
    // Not there, or in use.
  }
}

function tryRead(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8').trim();
  } catch {
    return undefined;
  }
}

function tryWrite(path: string, text: string | undefined): void {
  if (text === undefined || text === '') return;
  try {
    writeFileSync(path, text, { flag: 'r+' });
  } catch {
    // Another hierarchy's file.
  }
}
