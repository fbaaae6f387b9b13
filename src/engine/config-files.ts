import { chownSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Mount as OciMount } from '../spec/runtime-config.ts';

/** What the generated files say. */
export interface ConfigFilesInput {
  readonly dir: string;
  readonly hostname: string;
  readonly hostNetwork: boolean;
  /** In networks: what the files say is known when it starts. */
  readonly hasNetwork?: boolean;
  /** Other contents than the usual. */
  readonly hosts?: string;
  readonly resolvConf?: string;
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
  const files = [mount('hosts', input.hosts ?? (hosts === '' ? own : hosts)), mount('hostname', `${input.hostname}\n`)];
  const { resolvConf = input.hasNetwork === true ? '' : undefined } = input;
  if (input.hostNetwork || resolvConf !== undefined)
    files.push(mount('resolv.conf', resolvConf ?? readHost('/etc/resolv.conf')));
  return files;
}

function readHost(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}
