import { chownSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Mount as OciMount } from '../spec/runtime-config.ts';

/** What the generated files say. */
export interface ConfigFilesInput {
  readonly dir: string;
  readonly hostname: string;
  readonly hostNetwork: boolean;
  /** The container's root, where that is somebody else than ours. */
  readonly owner?: { readonly uid: number; readonly gid: number };
}

const OPTIONS = ['bind', 'rprivate', 'nosuid', 'nodev'];

/** Writes /etc/hosts, /etc/hostname and, where there is a network, /etc/resolv.conf for a container, and returns their mounts. */
export function configFiles(input: ConfigFilesInput): OciMount[] {
  const mount = (name: string, text: string): OciMount => {
    const source = join(input.dir, name);
    writeFileSync(source, text, { mode: 0o644 });
    if (input.owner !== undefined) chownSync(source, input.owner.uid, input.owner.gid);
    return { destination: `/etc/${name}`, type: 'bind', source, options: OPTIONS };
  };
  const hosts = input.hostNetwork ? readHost('/etc/hosts') : '';
  const own = `127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n127.0.1.1\t${input.hostname}\n`;
  const files = [mount('hosts', hosts === '' ? own : hosts), mount('hostname', `${input.hostname}\n`)];
  if (input.hostNetwork) files.push(mount('resolv.conf', readHost('/etc/resolv.conf')));
  return files;
}

function readHost(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}
