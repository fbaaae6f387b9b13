import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { TareError } from '../../base/errors.ts';
import { SANDBOX_SHM } from '../../runtime/default-paths.ts';
import { changePhase } from '../../runtime/state.ts';
import type { RuntimeConfig } from '../../spec/runtime-config.ts';
import { applicableLimits } from '../applicable-limits.ts';
import { sysctls } from '../build-config.ts';
import { cgroupPathOf } from '../cgroups.ts';
import { memberCgroupPath, podCgroupPath } from './pod-cgroup.ts';
import { configFiles } from '../config-files.ts';
import { asksForNames, asksForNetwork, makeStateDir, nameFor, withDefaultNetwork } from '../create.ts';
import type { CreateOptions, MountRequest } from '../create-options.ts';
import { deleteContainer } from '../delete.ts';
import { containerActor, emit } from '../emit.ts';
import { type Engine, ensureLayout } from '../engine.ts';
import { fileError } from '../file-error.ts';
import { newId } from '../ids.ts';
import { checkName, holderOf, isSandbox, MEMBERS, releaseName } from '../names.ts';
import { hostsText, nameOptions, resolvText } from '../network-files.ts';
import { recordedNetwork } from '../network-ports.ts';
import { networkRequest } from '../network-request.ts';
import { containerDir, type RestartPolicy, writeRecord } from '../record.ts';
import { checkPolicy } from '../supervised.ts';
import { MEMBERS_LOCK } from './members.ts';
import type { ExitPolicy, PodRecord, SharedNamespace } from './pod.ts';
import { namespaceOf, parseShares } from './shares.ts';

/** What `pod create` takes. What is of its network, its names and its limits means the same as in `CreateOptions`, for all containers together. */
export interface CreatePodOptions extends Pick<
  CreateOptions,
  | 'name'
  | 'hostname'
  | 'network'
  | 'ip'
  | 'ip6'
  | 'macAddress'
  | 'networkAliases'
  | 'publish'
  | 'dns'
  | 'dnsSearch'
  | 'dnsOptions'
  | 'addHosts'
  | 'labels'
  | 'resources'
  | 'shmSizeBytes'
  | 'sysctls'
> {
  /** `ipc,net,uts` (default), `none`, `+pid`: what its containers have in common; cgroup and pid as well. */
  readonly share?: string;
  /** False: no sandbox runs, and nothing is shared. */
  readonly infra?: boolean;
  /** When the last container has ended: `stop` the pod, or `continue` (default). */
  readonly exitPolicy?: ExitPolicy;
  /** Of its containers, where they say nothing themselves. */
  readonly restart?: RestartPolicy;
  /** Mounted in each of its containers, where those mount nothing else. */
  readonly mounts?: readonly MountRequest[];
  /** False: its containers' cgroups are beside each other, not in one of the pod's. */
  readonly shareParent?: boolean;
  /** Remove the pod that has the name first, with all its containers. */
  readonly replace?: boolean;
}

const STOP_TIMEOUT_MS = 10_000;
const SIGTERM = 15;
const SHM_BYTES = 64 * 1024 * 1024;

/**
 * Makes a pod without starting anything. A failure leaves nothing; killed, the next command removes what is there.
 *
 * Errors: invalid options; already-exists name, which containers and pods share; not-found network; unsupported.
 */
export async function createPod(
  engine: Engine,
  asked: CreatePodOptions = {},
): Promise<{ readonly id: string; readonly name: string; readonly warnings: readonly string[] }> {
  const { replace: _, ...created } = asked;
  const infra = asked.infra !== false;
  if (!infra && asked.share !== undefined && asked.share !== 'none' && asked.share !== '')
    throw new TareError('invalid', `Cannot use --share ${asked.share} without --infra: there is nobody to hold it`);
  const shares = infra ? parseShares(asked.share) : [];
  refuseUnshared(asked, shares);
  const options = shares.includes('net') ? withDefaultNetwork(engine, asContainer(asked)) : asContainer(asked);
  if (options.name !== undefined) checkName(options.name);
  if (engine.cgroups.problem !== undefined) throw new TareError('unsupported', engine.cgroups.problem);
  if (options.restart !== undefined) checkPolicy(options.restart, 'create');
  const network = asksForNetwork(options) ? networkRequest(engine, options) : undefined;
  const names = asksForNames(options) ? nameOptions(options) : undefined;
  const limits = applicableLimits(engine, options.resources ?? {}, undefined);
  const hasLimits = Object.keys(limits.resources).length > 0;
  if (hasLimits && asked.shareParent === false)
    throw new TareError(
      'unsupported',
      'Cannot limit a pod with --share-parent=false: it has no cgroup of its own; limit its containers',
    );
  ensureLayout(engine);
  if (asked.replace === true && options.name !== undefined) await removeNamed(engine, options.name);

  const id = newId();
  const dir = containerDir(engine, id);
  using _life = makeStateDir(dir, undefined);
  let name: string | undefined;
  try {
    name = await nameFor(engine, options.name, id);
    mkdirSync(join(dir, MEMBERS), { mode: 0o700 });
    mkdirSync(join(dir, 'root', SANDBOX_SHM), { recursive: true, mode: 0o755 });
    writeFileSync(join(dir, MEMBERS_LOCK), '', { mode: 0o600 });
    const hostNetwork = network === undefined && [options.network].flat().includes('host');
    const hostname = options.hostname ?? name;
    configFiles({
      dir,
      hostname,
      hostNetwork,
      hasNetwork: network !== undefined,
      ...(names === undefined
        ? {}
        : { hosts: hostsText([hostname], undefined, names), resolvConf: resolvText(names).text }),
    });
    const podCgroup = asked.shareParent === false ? undefined : podCgroupPath(engine, id);
    const record: PodRecord = {
      version: 1,
      id,
      name,
      createdAt: new Date().toISOString(),
      source: { kind: 'rootfs', path: join(dir, 'root'), overlay: false },
      image: '',
      command: [],
      labels: options.labels ?? {},
      autoRemove: false,
      terminal: false,
      openStdin: false,
      init: false,
      ...(network === undefined
        ? { network: hostNetwork ? 'host' : 'none' }
        : { network: network.mode, net: await recordedNetwork(network, []) }),
      ...(names === undefined ? {} : { names }),
      stopSignal: SIGTERM,
      stopTimeoutMs: STOP_TIMEOUT_MS,
      logDriver: 'none',
      privileged: false,
      cgroupPath: podCgroup === undefined ? cgroupPathOf(engine, id) : memberCgroupPath(podCgroup, id, id),
      sandbox: {
        shares,
        infra,
        exitPolicy: asked.exitPolicy ?? 'continue',
        ...(podCgroup === undefined ? {} : { cgroupPath: podCgroup }),
        resources: limits.resources,
        created,
      },
    };
    writeRecord(dir, record, sandboxConfig(asked, shares, hostNetwork, hostname));
    emit(engine, { ...containerActor(record), action: 'create' });
    changePhase(dir, 'creating', 'created');
    return { id, name, warnings: limits.warnings };
  } catch (error) {
    await deleteContainer(engine, id);
    if (name !== undefined) releaseName(engine, name, id);
    throw fileError(error, 'create pod');
  }
}

/** By its name alone: what begins as an id does is another one. */
async function removeNamed(engine: Engine, name: string): Promise<void> {
  const id = holderOf(engine, name);
  if (id === undefined || !isSandbox(engine, id)) return;
  await (await import('./remove-pod.ts')).removePod(engine, id, { force: true });
}

/** The options of a pod are read as those of a container that has them all. */
const asContainer = (options: CreatePodOptions): CreateOptions & CreatePodOptions => ({
  ...options,
  source: '',
  argv: [],
});

/** What only shared namespaces can give. Errors: invalid. */
function refuseUnshared(options: CreatePodOptions, shares: readonly SharedNamespace[]): void {
  const refuse = (asked: boolean, what: string, share: SharedNamespace): void => {
    if (asked && !shares.includes(share))
      throw new TareError('invalid', `Cannot use ${what}: the containers of this pod do not share ${share}`);
  };
  refuse(options.hostname !== undefined, '--hostname', 'uts');
  refuse(options.shmSizeBytes !== undefined, '--shm-size', 'ipc');
  refuse(
    asksForNetwork(options) || options.network !== undefined || asksForNames(options),
    '--network, --publish, --ip, --dns, --add-host and the like',
    'net',
  );
}

/** Of a process that executes nothing. Its process id namespace is its own in any case. */
function sandboxConfig(
  options: CreatePodOptions,
  shares: readonly SharedNamespace[],
  hostNetwork: boolean,
  hostname: string,
): RuntimeConfig {
  const held = shares.filter((share) => share !== 'pid' && !(share === 'net' && hostNetwork));
  return {
    ociVersion: '1.2.0',
    process: { terminal: false, user: { uid: 0, gid: 0 }, args: ['pause'], env: [], cwd: '/' },
    root: { path: 'root', readonly: true },
    ...(shares.includes('uts') ? { hostname } : {}),
    mounts: shares.includes('ipc')
      ? [
          {
            destination: SANDBOX_SHM,
            type: 'tmpfs',
            source: 'shm',
            options: ['mode=1777', `size=${options.shmSizeBytes ?? SHM_BYTES}`],
          },
        ]
      : [],
    linux: {
      namespaces: [{ type: 'mount' }, { type: 'pid' }, ...held.map((share) => ({ type: namespaceOf[share] }))],
      ...(options.sysctls === undefined ? {} : { sysctl: sysctls(options.sysctls) }),
    },
  };
}
