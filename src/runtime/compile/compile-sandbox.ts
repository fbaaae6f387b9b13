import type { RuntimeConfig } from '../../spec/runtime-types.ts';
import { planConstants } from '../../sys/plan/schema.ts';
import { Draft } from './draft.ts';
import { compileMonitor } from './monitor.ts';
import { CLONE_NEWCGROUP, Namespaces, compileClone } from './namespaces.ts';
import { SIGKILL, cgroupSlot, compileTasks } from './session-steps.ts';
import { compileSysctls } from './sysctl.ts';
import type { CompileOptions, CompiledPlan } from './types.ts';

/** MS_SLAVE|MS_REC. */
const MS_RSLAVE = 0x84000;
/** MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC. */
const PLAIN_FILES = 0x2 | 0x4 | 0x8;
const MOUNT_ATTR_RDONLY = 1;
const KEEP_UMASK = 0xffffffff;

/**
 * The Plan of a sandbox: a process that executes nothing, has no rights and an empty root, and whose namespaces others join. As process 1 of its pid namespace it reaps.
 *
 * Of the configuration it takes namespaces, hostname, sysctls and mounts, of temporary file systems. Errors: as `compile`.
 */
export function compileSandbox(config: RuntimeConfig, options: CompileOptions): CompiledPlan {
  const { linux, hostname = '' } = config;
  const draft = new Draft();
  const namespaces = new Namespaces(linux);
  compileMonitor(draft, options);
  compileClone(draft, linux, namespaces, cgroupSlot(draft, options.cgroup));
  compileTasks(draft, options.cgroup);
  if (namespaces.isNew('cgroup')) draft.add({ op: 'unshare', flags: CLONE_NEWCGROUP });
  draft.add({ op: 'setsid' }, { op: 'pdeathsig', signal: SIGKILL });
  if (namespaces.isNew('network')) draft.add({ op: 'loopback' });
  if (hostname !== '') draft.add({ op: 'hostname', name: hostname });
  draft.add({ op: 'root', fd: draft.fd({ kind: 'rootfs' }), at: options.rootMountPoint, propagation: MS_RSLAVE });
  for (const { destination, options: data = [] } of config.mounts ?? [])
    draft.add({
      op: 'mountFs',
      type: 'tmpfs',
      source: 'shm',
      options: data,
      attrs: PLAIN_FILES,
      target: destination,
      mkdir: 0o755,
      flags: 0,
      propagation: 0,
    });
  draft.add({ op: 'pivot' });
  compileSysctls(draft, linux?.sysctl ?? {}, namespaces);
  draft.add(
    { op: 'rootAttr', set: MOUNT_ATTR_RDONLY, clear: 0, recursive: 0, propagation: 0 },
    { op: 'noNewPrivs' },
    { op: 'capsBounding', mask: 0n },
    { op: 'user', uid: 0, gid: 0, groups: new Uint8Array(), umask: KEEP_UMASK },
    { op: 'caps', effective: 0n, permitted: 0n, inheritable: 0n, ambient: 0n },
    { op: 'barrier', kind: planConstants.BARRIER_START },
    { op: 'pause' },
  );
  return draft.finish();
}
