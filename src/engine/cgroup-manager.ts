import { existsSync, readFileSync } from 'node:fs';
import { TareError, isKind, messageOf } from '../base/errors.ts';
import type { CgroupHost } from '../runtime/cgroup/host.ts';
import { sliceCgroup } from '../runtime/cgroup/scope-path.ts';
import { connectUnix, peerCredentials } from '../sys/socket.ts';
import { type CgroupFiles, delegatedParent } from './delegated-cgroups.ts';
import type { RootlessUser } from './rootless.ts';

/** Who makes the containers' cgroups: we do, in the file system, or systemd makes a scope for each. */
export type CgroupManager = 'cgroupfs' | 'systemd';

/** What a user may say about cgroups. */
export interface CgroupWishes {
  readonly cgroupManager?: CgroupManager;
  /** A cgroup's path; with systemd the name of a slice. */
  readonly cgroupParent?: string;
  readonly rootless?: RootlessUser;
}

/** Who makes the cgroups of new containers, and where. */
export interface CgroupChoice {
  readonly manager: CgroupManager;
  /** Why this one, in a user's words. */
  readonly reason: string;
  /** The cgroup below which the containers' cgroups, or their scopes, are. */
  readonly parent: string;
  /** With systemd: the cgroup of the manager, which has all controllers there are for us. */
  readonly managerCgroup?: string;
  /** It was asked for and cannot be used: a complete message. */
  readonly problem?: string;
}

/** A systemd that makes scopes for us. */
export interface FoundSystemd {
  readonly socket: string;
  /** The cgroup all its units are below; "" for the root. */
  readonly cgroup: string;
}

const SYSTEM_SOCKET = '/run/systemd/private';
/** A user's manager lets the system's move processes in from other sessions, which it asks over this. */
const SYSTEM_BUS = '/run/dbus/system_bus_socket';
const DEFAULT_PARENT = '/tare';

/** Chooses for an engine. For root without wishes that is cgroupfs, and nothing is looked at. */
export function chooseCgroups(wishes: CgroupWishes, host: () => CgroupHost, files: CgroupFiles): CgroupChoice {
  const { cgroupManager, cgroupParent, rootless } = wishes;
  if (cgroupManager === 'systemd') return withSystemd(wishes, host(), 'it was asked for');
  if (
    cgroupManager === 'cgroupfs' ||
    rootless === undefined ||
    (cgroupParent !== undefined && !isSlice(cgroupParent))
  ) {
    const reason =
      cgroupManager === undefined && rootless === undefined
        ? "root's default"
        : cgroupManager === undefined
          ? 'a cgroup parent was given'
          : 'it was asked for';
    const parent = cgroupParent ?? (rootless === undefined ? DEFAULT_PARENT : delegatedParent(host(), files));
    return { manager: 'cgroupfs', reason, parent };
  }
  const delegated = delegatedParent(host(), files);
  if (delegated !== DEFAULT_PARENT && cgroupParent === undefined)
    return { manager: 'cgroupfs', reason: "the cgroup of this session is the user's own", parent: delegated };
  const chosen = withSystemd(
    wishes,
    host(),
    "the user's systemd makes scopes where this session's cgroup is not the user's own",
  );
  const problem = chosen.problem ?? (existsSync(SYSTEM_BUS) ? undefined : `there is no ${SYSTEM_BUS}`);
  if (problem === undefined || cgroupParent !== undefined) return chosen;
  const reason = `neither is this session's cgroup the user's own, nor can the user's systemd be used: ${shortOf(problem)}`;
  return { manager: 'cgroupfs', reason, parent: DEFAULT_PARENT };
}

function isSlice(parent: string): boolean {
  return parent.endsWith('.slice') && !parent.includes('/');
}

function shortOf(problem: string): string {
  return problem.replace(/^Cannot use systemd for cgroups: /, '').replace(/;.*$/s, '');
}

function withSystemd({ cgroupParent, rootless }: CgroupWishes, host: CgroupHost, reason: string): CgroupChoice {
  const slice = cgroupParent ?? (rootless === undefined ? 'machine.slice' : 'user.slice');
  try {
    const { cgroup } = findSystemd(rootless, host);
    return { manager: 'systemd', reason, parent: sliceCgroup(cgroup, slice), managerCgroup: cgroup };
  } catch (error) {
    return { manager: 'systemd', reason, parent: DEFAULT_PARENT, problem: messageOf(error) };
  }
}

/**
 * The systemd that makes scopes for this user: the machine's for root, the user's own for anybody else. It is asked nothing: who listens there is what the kernel says.
 *
 * Errors: unsupported, with what is missing and what to do.
 */
export function findSystemd(rootless: RootlessUser | undefined, host: CgroupHost): FoundSystemd {
  const sockets =
    rootless === undefined
      ? [SYSTEM_SOCKET]
      : [...new Set([rootless.runtimeDir, `/run/user/${rootless.uid}`])].map((dir) => `${dir}/systemd/private`);
  const otherwise = 'or leave it to cgroupfs (--cgroup-manager cgroupfs)';
  const [whose, todo] =
    rootless === undefined
      ? ['no systemd runs here', 'start the machine with systemd']
      : ["this user's systemd does not run", 'log in anew, or have root run loginctl enable-linger'];
  const socket = sockets.find((path) => existsSync(path));
  if (socket === undefined) throw cannot(`${whose} (there is no ${sockets[0]}); ${todo}, ${otherwise}`);
  if (host.mode !== 'v2')
    throw cannot(
      `cgroups are ${host.mode} here, and its scopes take cgroup v2 alone; start the machine with systemd.unified_cgroup_hierarchy=1 on the kernel's command line, ${otherwise}`,
    );
  try {
    using connection = connectUnix(socket);
    const { pid, uid } = peerCredentials(connection);
    // Root of the machine, or in our namespace the user.
    if (uid !== 0) throw new TareError('denied', `${socket} is of another user (${uid})`);
    const own = /^0::(.*)$/m.exec(readFileSync(`/proc/${pid}/cgroup`, 'utf8'))?.[1];
    if (own === undefined || own.includes('/../'))
      throw new TareError('unsupported', `its cgroup cannot be seen (process ${pid})`);
    return { socket, cgroup: own.replace(/\/init\.scope$/, '').replace(/^\/$/, '') };
  } catch (cause) {
    const why = isKind(cause, 'unavailable') ? `${whose} (nobody listens at ${socket})` : messageOf(cause);
    throw cannot(`${why}; ${todo}, ${otherwise}`, cause);
  }
}

function cannot(why: string, cause?: unknown): TareError {
  return new TareError('unsupported', `Cannot use systemd for cgroups: ${why}`, { cause });
}
