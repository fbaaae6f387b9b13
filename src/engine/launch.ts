import { openSync } from 'node:fs';
import { compile, type CompiledPlan, type CompileOptions, type SeccompCompiler } from '../runtime/compile/mod.ts';
import { defaultPath } from '../runtime/default-paths.ts';
import { createCgroup, killCgroup, removeCgroup, type CgroupPlan } from '../runtime/cgroup/mod.ts';
import { scopeOf } from '../runtime/cgroup/scope-path.ts';
import { ComingMonitor, launch } from '../runtime/launch.ts';
import type { RuntimeConfig } from '../spec/runtime-config.ts';
import type { Mount } from '../spec/mount.ts';
import { ATTACH_STDERR, ATTACH_STDIN, ATTACH_STDOUT } from '../sys/monitor/frames.ts';
import { Fd } from '../sys/fd.ts';
import type { ServedMount } from '../sys/mount-fuse.ts';
import { containerCgroupPlan } from './cgroup-plan.ts';
import { connection } from './connection.ts';
import { countMount } from './count-mount.ts';
import { type Engine, socketPath } from './engine.ts';
import { heldCount, joinsNetworks, networkHolder } from './holds-networks.ts';
import { toLaunchError } from './launch-error.ts';
import { mountRootfs } from './mount-rootfs.ts';
import { LOG_NAME, containerDir, type ContainerRecord, diskDir, isOpenedAtStart } from './record.ts';
import { deleteContainer } from './delete.ts';
import { rootlessVariables } from './rootless.ts';
import { isRestarting } from './restarting.ts';
import type { Running } from './running.ts';
import { seccompFilter } from './seccomp.ts';
import { superviseSettings } from './supervise-settings.ts';
import { bindKind } from './source.ts';

export interface LaunchOptions {
  readonly attach: { readonly stdin: boolean; readonly output: boolean };
  /** The caller's death (its connection's end) kills and removes the container. */
  readonly owner: boolean;
  /** Nobody will stay to clean up: the monitor runs `tare cleanup`. */
  readonly detach: boolean;
  readonly warnings: readonly string[];
  /** Prepare everything; its first process then waits for `startInitialized`. */
  readonly waits?: boolean;
  /** So often it started again since somebody started it, this time included. */
  readonly restarts?: number;
  /** Started already, while the container was being made. */
  readonly monitor?: ComingMonitor;
}

/**
 * Starts a prepared container, or makes it ready to start, whose life lock the caller holds: systemd's scope where it has one, cgroup, Plan, monitor. The lock goes over to the monitor.
 * On failure nothing is left but the container's directory, still locked by the caller.
 *
 * Errors: LaunchError.
 */
export async function launchContainer(
  engine: Engine,
  record: ContainerRecord,
  recorded: RuntimeConfig,
  rootfs: Mount | ServedMount,
  life: Fd,
  options: LaunchOptions,
): Promise<Running> {
  const dir = containerDir(engine, record.id);
  using stack = new DisposableStack();
  const rootfsFd = 'kind' in rootfs ? stack.use(await mountRootfs(engine, rootfs, record)) : rootfs;
  const secrets =
    record.secrets === undefined
      ? undefined
      : stack.use(await (await import('./secrets/place.ts')).placeSecrets(engine, record, recorded));
  const opened = [...(secrets?.opened ?? [])];
  if (record.mounts?.some(isOpenedAtStart) === true)
    opened.push(...stack.use(await (await import('./volumes/open-mounts.ts')).openMounts(engine, record)));
  const { sandbox } = record;
  const ofPod = sandbox && (await (await import('./pods/pod-cgroup.ts')).makePodCgroup(engine, { ...record, sandbox }));
  const inPod =
    record.pod === undefined
      ? undefined
      : stack.use(await (await import('./pods/join-pod.ts')).joinPod(engine, record, record.pod));
  opened.push(...(inPod?.opened ?? []));
  let { monitor } = options;
  const scope = scopeOf(record.cgroupPath);
  if (scope !== undefined) {
    const { enterScope } = await import('./enter-scope.ts');
    monitor ??= stack.use(new ComingMonitor());
    await enterScope(engine, record, scope, monitor);
  }
  const planned = containerCgroupPlan(engine, record, recorded.linux?.resources);
  const joined =
    record.net === undefined || networkHolder(record) !== record.id
      ? undefined
      : stack.use(await (await import('./join-networks.ts')).joinNetworks(engine, record, recorded));
  const withSecrets = secrets?.config ?? recorded;
  const networked = joined?.inside(withSecrets) ?? withSecrets;
  const config = inPod?.inside(networked) ?? networked;
  let compiled: CompiledPlan = { ops: [], fds: [] };
  let started: Awaited<ReturnType<typeof launch>> | undefined;
  let lives = false;
  try {
    const cgroup = createCgroup(planned);
    if (rootfsFd.daemon !== undefined)
      (await import('./settle-daemon.ts')).settleDaemon(rootfsFd.daemon, cgroup, scope);
    const warnings = [
      ...options.warnings,
      ...cgroup.warnings,
      ...(ofPod ?? []),
      ...(inPod?.warnings ?? []),
      ...(joined?.warnings ?? []),
    ];
    compiled = (await compilerOf(record))(
      withoutMknod(config, record, cgroup),
      planOptions(engine, record, cgroup, { ...options, config, opened, seccomp: await seccompFilter(engine, config) }),
    );
    const paths = {
      stateDir: dir,
      runDir: engine.socketsDir,
      logDir: diskDir(engine, record),
      eventsDir: engine.eventsDir,
      ...(record.logDriver === 'passthrough' ? { stdio: passedStreams(record, stack) } : {}),
      cgroupRoot: cgroup.root,
      socketPath: socketPath(engine, record.id),
    };
    const client = launch(
      compiled,
      {
        ...paths,
        rootfs: rootfsFd,
        life,
        opened,
        ...(joined === undefined ? {} : { hold: joined.held }),
      },
      [
        ...(options.detach ? [] : [{ type: 'take', on: 1 } as const]),
        ...(options.attach.output ? [{ type: 'attach', streams: attachedStreams(options.attach.stdin) } as const] : []),
      ],
      monitor,
    );
    started = client;
    const running = connection(client, {
      id: record.id,
      name: record.name,
      pid: 0,
      warnings,
      cleanUp: () => cleanUp(engine, record, options.owner),
      lost: async () => (lives ? (await import('./cleanup.ts')).collectLost(engine, record.id) : undefined),
    });
    // While the helper works. When that fails, the next command says why.
    if (record.source.kind === 'image') await engine.store().catch(() => {});
    const pid = await (options.waits === true ? client.ready : client.started);
    lives = true;
    return Object.assign(running, { pid });
  } catch (error) {
    started?.close();
    await killCgroup(planned);
    removeCgroup(planned);
    await joined?.leave();
    throw toLaunchError(error, compiled.ops);
  }
}

/** What is to be done when a container has ended, as long as its monitor has the life lock. */
export async function cleanUp(engine: Engine, record: ContainerRecord, owned: boolean): Promise<void> {
  if ((record.autoRemove || owned) && !isRestarting(containerDir(engine, record.id)))
    await deleteContainer(engine, record.id, record);
  else await letGo(engine, record);
  if (record.pod?.stops === true) await (await import('./pods/settle-pod.ts')).settlePod(engine, record);
}

async function letGo(engine: Engine, record: ContainerRecord): Promise<void> {
  if (joinsNetworks(record)) await (await import('./leave-networks.ts')).leaveNetworks(engine, record.id, false);
  return countMount(engine, record, false);
}

/** What makes a Plan of its configuration. */
export async function compilerOf(record: ContainerRecord): Promise<typeof compile> {
  return record.sandbox === undefined
    ? compile
    : (await import('../runtime/compile/compile-sandbox.ts')).compileSandbox;
}

/** Where no device rules can be set, making nodes would be opening any device of the machine. */
function withoutMknod(config: RuntimeConfig, record: ContainerRecord, cgroup: CgroupPlan): RuntimeConfig {
  const capabilities = config.process?.capabilities;
  if (cgroup.devices !== 'none' || record.privileged || config.process === undefined || capabilities === undefined)
    return config;
  const kept = Object.fromEntries(
    Object.entries(capabilities).map(([set, names]) => [
      set,
      (names as readonly string[]).filter((name) => name !== 'CAP_MKNOD'),
    ]),
  );
  return { ...config, process: { ...config.process, capabilities: kept } };
}

function attachedStreams(stdin: boolean): number {
  return (stdin ? ATTACH_STDIN : 0) | ATTACH_STDOUT | ATTACH_STDERR;
}

/** What the monitor's `tare cleanup` needs to find the same engine. */
function selfEnvironment(engine: Engine): string[] {
  const kept = [
    ...(engine.rootless === undefined ? [] : rootlessVariables),
    // Who starts it again mounts it again.
    ...(engine.mountProgram === undefined ? [] : ['CONTAINERS_STORAGE_CONF']),
    // And finds its CNI networks.
    'CNI_PATH',
    'NETCONFPATH',
  ];
  return [
    `PATH=${defaultPath}`,
    ...kept.flatMap((name) => (engine.env[name] === undefined ? [] : [`${name}=${engine.env[name]}`])),
  ];
}

/** Anybody's, and nobody's view of it but the container's own until it has its root. */
const OPEN_MOUNT_POINT = '/tmp';

/** Where we are somebody in the container's user namespace, it may enter our directories. */
function reachesUser({ linux }: RuntimeConfig): boolean {
  return [linux?.uidMappings, linux?.gidMappings].every((map) => map?.some(({ hostID }) => hostID === 0) !== false);
}

/** The caller's own streams; its input only when the container is to have one. */
function passedStreams(record: ContainerRecord, stack: DisposableStack): [number, number, number] {
  return [record.openStdin ? 0 : stack.use(Fd.adopt(openSync('/dev/null', 'r'))).number, 1, 2];
}

/** Its end is to be known outside of it: rules of the firewall outlive it otherwise, and so do others of its pod. */
function hasEffects(record: ContainerRecord): boolean {
  return joinsNetworks(record) || record.sandbox !== undefined || record.pod?.stops === true;
}

/** What the Plan of a container is compiled with. */
export function planOptions(
  engine: Engine,
  record: ContainerRecord,
  cgroup: CgroupPlan,
  how: {
    readonly owner: boolean;
    readonly waits?: boolean;
    readonly restarts?: number;
    readonly config: RuntimeConfig;
    readonly opened?: CompileOptions['opened'] | undefined;
    readonly seccomp: SeccompCompiler;
  },
): CompileOptions {
  const cleans = record.autoRemove || how.owner;
  const supervised = superviseSettings(record, how.restarts);
  const lastAct = (...words: string[]): { argv: string[]; env: string[] } => ({
    argv: [...engine.self, 'cleanup', ...words, record.id],
    env: selfEnvironment(engine),
  });
  return {
    rootMountPoint: reachesUser(how.config) ? engine.mountPoint : OPEN_MOUNT_POINT,
    cgroup,
    monitor: {
      title: `tare: monitor ${record.name}`,
      stdio: record.terminal ? 'pty' : record.logDriver === 'passthrough' ? 'fds' : 'pipes',
      stdin: record.openStdin,
      once: false,
      ...(record.log === undefined ? {} : { log: { name: LOG_NAME, ...record.log } }),
      ...supervised,
      stop: { signal: record.stopSignal, timeoutMs: record.stopTimeoutMs },
      ...(cleans || hasEffects(record) ? { onExit: lastAct() } : {}),
      ...(cleans || supervised.restart !== undefined ? {} : { again: lastAct('--again') }),
      hold: heldCount(engine, record),
      autostart: how.waits !== true,
      owner: how.owner,
      volatile: record.autoRemove,
      listen: record.id,
    },
    ...(engine.rootless === undefined ? {} : { features: { mknod: false } }),
    mountKinds: bindKind,
    ...(how.opened === undefined ? {} : { opened: how.opened }),
    seccomp: how.seccomp,
    init: record.init,
    bundle: containerDir(engine, record.id),
  };
}
