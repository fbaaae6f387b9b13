import type { Process, RuntimeConfig } from '../../spec/runtime-types.ts';
import { planConstants } from '../../sys/plan/schema.ts';
import { Draft, invalid, unsupported } from './draft.ts';
import { containerPath } from './container-path.ts';
import { compileExec } from './compile-exec.ts';
import { type HookIdentity, compileCreateHooks, compileMonitorHooks, compileStartHooks } from './hooks.ts';
import { compileHealth, compileMonitor } from './monitor.ts';
import { propagationBits } from './mount-options.ts';
import { compileMounts } from './mounts.ts';
import { CLONE_NEWCGROUP, Namespaces, compileClone } from './namespaces.ts';
import { boundingMask, compileAttributes, compileIdentity, processCwd, seccompOf } from './process.ts';
import { compileSysctls } from './sysctl.ts';
import {
  SIGKILL,
  cgroupSlot,
  compileOomScore,
  compileStdioOwner,
  compileTasks,
  compileTerminal,
} from './session-steps.ts';
import type { CompileOptions, CompiledPlan } from './types.ts';

/** MS_SLAVE|MS_REC: the host's unmounts still reach our copy of its tree, our mounts never reach the host. */
const MS_RSLAVE = 0x84000;
const MOUNT_ATTR_RDONLY = 1;

/**
 * Turns a container's configuration into the Plan the helper executes. Pure: every decision is here, nothing is opened or looked at.
 *
 * The order of steps (runtime.md "Lifecycle", and what each step needs):
 * cgroup, cgroup namespace; root and mounts; createRuntime and createContainer hooks; pivot_root; terminal; names, sysctls; read-only and
 * masked paths; limits, [filter], identity; start; startContainer hooks; [filter]; execve. Everything that can fail for a reason of the
 * configuration comes before the START barrier, but for what needs the filter installed first.
 *
 * Errors: `invalid` and `unsupported`, naming the part of the configuration; those of `options.mountKinds` and `options.seccomp`.
 */
export function compile(config: RuntimeConfig, options: CompileOptions): CompiledPlan {
  const { process, linux } = config;
  if (process === undefined) throw invalid('process', 'there is none');
  rejectUnsupported(config, process);
  const draft = new Draft();
  const namespaces = new Namespaces(linux);
  const features = options.features ?? {};
  const identity: HookIdentity = { id: options.id ?? options.monitor.listen, bundle: options.bundle ?? '' };
  const terminal = process.terminal === true;
  if (terminal !== (options.monitor.stdio === 'pty'))
    throw invalid('process.terminal', `it is ${String(terminal)} but stdio is ${options.monitor.stdio}`);

  compileMonitor(draft, options);
  const { health } = options.monitor;
  if (health !== undefined) compileHealth(draft, health, healthPlan(process, config, health.argv, options));
  compileMonitorHooks(draft, config, identity);
  compileClone(draft, linux, namespaces, cgroupSlot(draft, options.cgroup));
  compileOomScore(draft, process);
  compileStdioOwner(draft, process, linux);

  compileTasks(draft, options.cgroup);
  if (namespaces.isNew('cgroup')) draft.add({ op: 'unshare', flags: CLONE_NEWCGROUP });
  draft.add({ op: 'setsid' }, { op: 'pdeathsig', signal: SIGKILL });
  if (namespaces.isNew('network')) draft.add({ op: 'loopback' });
  compileNames(draft, config, namespaces);

  draft.add({ op: 'root', fd: draft.fd({ kind: 'rootfs' }), at: options.rootMountPoint, propagation: MS_RSLAVE });
  compileMounts(draft, {
    config,
    namespaces,
    cgroup: options.cgroup,
    mountKinds: options.mountKinds,
    opened: options.opened,
    bundle: options.bundle,
    mknod: features.mknod ?? !namespaces.has('user'),
  });
  const cwd = processCwd(process);
  if (cwd !== '/') draft.add({ op: 'mkdir', target: cwd, mode: 0o755, uid: 0, gid: 0 });
  compileCreateHooks(draft, config, identity);
  draft.add({ op: 'pivot' });

  if (terminal) compileTerminal(draft, process, true);
  compileSysctls(draft, linux?.sysctl ?? {}, namespaces);
  for (const path of linux?.readonlyPaths ?? [])
    draft.add({ op: 'readonlyPath', target: containerPath(path, 'readonly path') });
  for (const path of linux?.maskedPaths ?? []) draft.add({ op: 'mask', target: containerPath(path, 'masked path') });
  compileRootAttributes(draft, config);

  if (options.keyring !== false) draft.add({ op: 'keyring', name: `_ses.${identity.id}` });
  compileAttributes(draft, process, config, features);
  // The filter's announcement tells the monitor that execve is next; so without no_new_privs, start comes before the filter and all that follows it.
  const startEarly = process.noNewPrivileges !== true;
  const start = { op: 'barrier', kind: planConstants.BARRIER_START } as const;
  if (startEarly) draft.add(start);
  compileIdentity(draft, {
    process,
    rlimits: process.rlimits ?? [],
    filter: seccompOf(config),
    seccomp: options.seccomp,
    filterCapabilities: boundingMask(process),
    noNewPrivileges: process.noNewPrivileges === true,
    init: options.init,
    beforeExec: () => {
      if (!startEarly) draft.add(start);
      compileStartHooks(draft, config, identity);
    },
  });
  return draft.finish();
}

/** A check is the container's own process with another command and no terminal. */
function healthPlan(
  process: Process,
  config: RuntimeConfig,
  argv: readonly string[],
  options: CompileOptions,
): CompiledPlan {
  const { consoleSize: _, ...check } = process;
  const id = `health-${options.id ?? options.monitor.listen}`;
  return compileExec(
    { ...check, args: argv, terminal: false },
    { config, cgroup: options.cgroup },
    { seccomp: options.seccomp, id, ...(options.features === undefined ? {} : { features: options.features }) },
  );
}

function compileNames(draft: Draft, config: RuntimeConfig, namespaces: Namespaces): void {
  const { hostname = '', domainname = '' } = config;
  if ((hostname !== '' || domainname !== '') && !namespaces.has('uts'))
    throw invalid('hostname', 'it would change the host: the container has no uts namespace of its own');
  if (hostname !== '') draft.add({ op: 'hostname', name: hostname });
  if (domainname !== '') draft.add({ op: 'domainname', name: domainname });
}

function compileRootAttributes(draft: Draft, config: RuntimeConfig): void {
  const set = config.root?.readonly === true ? MOUNT_ATTR_RDONLY : 0;
  const propagation = propagationBits(config.linux?.rootfsPropagation ?? '') ?? 0;
  if (set !== 0 || propagation !== 0) draft.add({ op: 'rootAttr', set, clear: 0, recursive: 0, propagation });
}

function rejectUnsupported(config: RuntimeConfig, process: Process): void {
  if (Object.keys(config.linux?.netDevices ?? {}).length > 0)
    throw unsupported('linux.netDevices', 'it is not supported yet');
  if (config.linux?.intelRdt !== undefined) throw unsupported('linux.intelRdt', 'it is not supported yet');
  if ((config.linux?.mountLabel ?? '') !== '')
    throw unsupported('linux.mountLabel', 'SELinux mount labels are not supported yet');
  if ((process.args?.length ?? 0) === 0) throw invalid('process.args', 'there is no command');
}
