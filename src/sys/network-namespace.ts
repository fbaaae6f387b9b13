import { addon } from './addon.ts';
import { check } from './error.ts';
import { Fd, type FdLike, numberOf } from './fd.ts';
import { O_RDONLY, O_WRONLY } from './open.ts';

const AF_INET = 2;
const SOCK_DGRAM = 2;
const SOCK_CLOEXEC = 0o2000000;
/** ioctl(2) of any socket: a descriptor of its network namespace. */
const SIOCGSKNS = 0x894c;
const NEW = -1;
const OURS = -1;

/**
 * A new network namespace, in which no process is: it is there as long as the descriptor, or what uses it. It belongs to the user namespace `owner`, or to ours. Errors: by errno; `denied`
 * without the right to make one.
 */
export function networkNamespace(owner?: FdLike): Fd {
  const userns = owner === undefined ? OURS : numberOf(owner);
  using socket = Fd.adopt(check(addon().socketIn(NEW, AF_INET, SOCK_DGRAM, 0, userns), 'unshare(CLONE_NEWNET)'));
  return Fd.adopt(check(addon().ioctlNumber(socket.number, SIOCGSKNS, 0), 'ioctl(SIOCGSKNS)'));
}

/** socket(2), close-on-exec, in another network namespace where one is given. No thread of this process enters it. Errors: by errno. */
export function socketIn(netns: FdLike | undefined, domain: number, type: number, protocol: number): Fd {
  const call =
    netns === undefined
      ? addon().socket(domain, type | SOCK_CLOEXEC, protocol)
      : addon().socketIn(numberOf(netns), domain, type, protocol, OURS);
  return Fd.adopt(check(call, 'socket'));
}

/** A file below /proc/sys/net as that network namespace has it. Errors: by errno. */
export function openNetSysctl(netns: FdLike | undefined, name: string, access: 'read' | 'write'): Fd {
  const path = `/proc/sys/net/${name}`;
  const flags = access === 'read' ? O_RDONLY : O_WRONLY;
  if (netns !== undefined) return Fd.adopt(check(addon().openIn(numberOf(netns), path, flags), 'open', path));
  const { openSync } = process.getBuiltinModule('node:fs');
  return Fd.adopt(openSync(path, flags));
}
