import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { TareError } from '../base/errors.ts';
import type { PullEvent } from '../image/pull.ts';
import { changePhase, createStateDir } from '../runtime/state.ts';
import { ComingMonitor } from '../runtime/launch.ts';
import type { MountIds } from '../spec/mount.ts';
import { parseSignal } from '../spec/signals.ts';
import type { RuntimeConfig } from '../spec/runtime-config.ts';
import type { Fd } from '../sys/fd.ts';
import type { ServedMount } from '../sys/mount-fuse.ts';
import { buildConfig } from './build-config.ts';
import { cgroupPathOf } from './cgroups.ts';
import { claimName } from './claim-name.ts';
import type { CreateOptions, MountRequest } from './create-options.ts';
import { containerActor, emit } from './emit.ts';
import { type Engine, ensureLayout } from './engine.ts';
import { fileError } from './file-error.ts';
import { generatedName, newId } from './ids.ts';
import { asksForNamespace } from './asks-for-namespace.ts';
import { mountRootfs } from './mount-rootfs.ts';
import { checkName, releaseName, reserveName } from './names.ts';
import type { NamespaceRequest } from './namespace-request.ts';
import type { NetworkRequest } from './network-request.ts';
import { type PreparedSource, prepareSource, resolveSource } from './prepare-source.ts';
import {
  type ContainerRecord,
  containerDir,
  diskDir,
  type RecordedMount,
  type RecordedNetwork,
  writeRecord,
} from './record.ts';
import { checkSupervised, supervised } from './supervised.ts';
import { deleteContainer } from './delete.ts';
import { mappedIds } from './rootless.ts';

/** A container that exists on disk, with its rootfs mounted and its life lock held, not started. Disposing closes both and keeps it. */
export interface Prepared extends Disposable {
  readonly record: ContainerRecord;
  readonly config: RuntimeConfig;
  /** Detached mount of the root file system. */
  readonly rootfs: ServedMount;
  readonly life: Fd;
  readonly warnings: readonly string[];
  /** On its way, for one that starts right away. */
  readonly monitor?: ComingMonitor;
}

/** The caller's part in a creation. */
export interface CreateHow {
  /** Hears of a pull that the source needs. */
  readonly onProgress?: (event: PullEvent) => void;
  /** Gives up before the container exists. */
  readonly signal?: AbortSignal;
}

/** The error of a creation or start given up because of `signal`. */
export function cancelled(signal: AbortSignal): TareError {
  return new TareError('cancelled', 'Cannot run container: it was cancelled', { cause: signal.reason });
}

const DEFAULT_STOP_SECONDS = 10;
const NAME_TRIES = 20;
/** ext4 keeps a link to less than 60 bytes in its inode; to delete a longer one takes 0.1 ms. */
const SHORT_ID = 32;

/**
 * Creates a container without starting it. A failure leaves nothing.
 *
 * Errors: invalid options; not-found source, user or group; already-exists name; cancelled; those of pull.
 */
export async function createContainer(
  engine: Engine,
  options: CreateOptions,
  how: CreateHow = {},
): Promise<{ id: string; name: string; warnings: string[] }> {
  using prepared = await prepareContainer(engine, options, how, { owned: false, starts: false });
  const { id, name } = prepared.record;
  changePhase(containerDir(engine, id), 'creating', 'created');
  return { id, name, warnings: [...prepared.warnings] };
}

/** What `createContainer` and `runContainer` share: everything up to the Plan. The phase is still `creating`: until it changes, a crash leaves garbage. */
export async function prepareContainer(
  engine: Engine,
  asked: CreateOptions,
  how: CreateHow,
  next: { readonly owned: boolean; readonly starts: boolean },
): Promise<Prepared> {
  using pod =
    asked.pod === undefined
      ? undefined
      : await (await import('./pods/enter-pod.ts')).enterPod(engine, asked, next.owned);
  const options = pod?.network === undefined ? withDefaultNetwork(engine, pod?.options ?? asked) : pod.options;
  if (options.name !== undefined) checkName(options.name);
  if (engine.cgroups.problem !== undefined) throw new TareError('unsupported', engine.cgroups.problem);
  checkSupervised(options, next.owned);
  const stopSignal = options.stopSignal === undefined ? undefined : parseSignal(options.stopSignal);
  const request = await ownNamespace(engine, options);
  const network =
    pod?.network ??
    (asksForNetwork(options) ? (await import('./network-request.ts')).networkRequest(engine, options) : undefined);
  const names = asksForNames(options) ? (await import('./network-files.ts')).nameOptions(options) : undefined;
  ensureLayout(engine);
  using stack = new DisposableStack();
  const monitor = next.starts ? stack.use(new ComingMonitor()) : undefined;
  const resolved = await resolveSource(engine, options, how);
  if (how.signal?.aborted === true) throw cancelled(how.signal);

  const id = newId();
  const autoRemove = options.autoRemove === true || next.owned;
  const dir = containerDir(engine, id);
  // One that is only created waits for its start, over a reboot if it must.
  const transient = autoRemove && next.starts && engine.keepsRunRoot;
  const disk = diskDir(engine, { id, transient });
  monitor?.separate();
  const life = stack.use(makeStateDir(dir, transient ? join(engine.volatileDir, id.slice(0, SHORT_ID)) : undefined));
  let name: string | undefined;
  try {
    name = await nameFor(engine, options.name, id);
    pod?.add(id);
    if (disk !== dir) mkdirSync(disk, { mode: 0o700 });
    const about = { id, name, volatile: autoRemove, starts: next.starts, secrets: options.hostSecrets === true };
    const prepare = (ids?: MountIds): Promise<PreparedSource> =>
      prepareSource(engine, { dir, disk }, resolved, { ...about, ...(ids === undefined ? {} : { ids }) });
    const made =
      request === undefined
        ? undefined
        : await (
            await import('./prepare-in-namespace.ts')
          ).prepareInNamespace(engine, request, { id, options, resolved }, prepare, how.signal);
    const prepared = made?.prepared ?? (await prepare());
    const rootfs = stack.use(
      made?.rootfs ?? (await mountRootfs(engine, prepared.rootfs, { id, source: prepared.source })),
    );
    using taken = wantsVolumes(options, prepared)
      ? await (
          await import('./volumes/take-mounts.ts')
        ).takeMounts(engine, {
          id,
          options,
          prepared,
          rootfs,
          ...(made === undefined ? {} : { namespace: made.namespace }),
          mapped: made?.recorded.owners === 'mapped',
          ephemeral: autoRemove,
          ...(how.signal === undefined ? {} : { signal: how.signal }),
        })
      : undefined;
    const cgroupPath = pod?.cgroupPath(cgroupPathOf(engine, id), id) ?? cgroupPathOf(engine, id);
    const { config: own, warnings } = await buildConfig({
      engine,
      dir,
      id,
      options,
      prepared,
      rootfs,
      ...(made === undefined ? {} : { namespace: made.namespace }),
      ...(taken === undefined ? {} : { mounts: taken.mounts }),
      cgroupPath,
      ...(network === undefined ? {} : { network }),
      ...(names === undefined ? {} : { names }),
    });
    const config = pod?.config(own) ?? own;
    const secrets =
      options.secrets && (await import('./secrets/use.ts')).secretUses(engine, options.secrets, destinations(config));
    const image = prepared.imageConfig?.process;
    const record: ContainerRecord = {
      version: 1,
      id,
      name,
      createdAt: new Date().toISOString(),
      source: prepared.source,
      image: prepared.image,
      command: config.process?.args ?? [],
      labels: { ...image?.labels, ...options.labels },
      autoRemove,
      ...(transient ? { transient } : {}),
      terminal: config.process?.terminal === true,
      openStdin: options.openStdin === true,
      init: options.init === true,
      ...(made === undefined ? {} : { userns: made.recorded }),
      ...(network === undefined
        ? { network: options.network?.includes('host') === true ? 'host' : 'none' }
        : { network: network.mode, net: pod?.net ?? (await recordNetwork(network, options, image?.exposedPorts)) }),
      ...(names === undefined ? {} : { names }),
      ...recordedMounts(options, taken?.recorded),
      stopSignal: stopSignal ?? parseSignal(image?.stopSignal ?? 'TERM'),
      stopTimeoutMs: (options.stopTimeoutSeconds ?? image?.stopTimeoutSeconds ?? DEFAULT_STOP_SECONDS) * 1000,
      ...((options.log?.driver ?? 'k8s-file') !== 'k8s-file'
        ? {}
        : { log: { maxBytes: options.log?.maxSizeBytes ?? 0, maxFiles: options.log?.maxFiles ?? 1 } }),
      logDriver: options.log?.driver ?? 'k8s-file',
      privileged: options.privileged === true,
      ...(secrets === undefined ? {} : { secrets }),
      ...(pod === undefined ? {} : { pod: pod.membership }),
      cgroupPath,
      ...supervised(options, image?.healthcheck),
      ...(transient ? {} : { created: withoutCredentials(asked, taken?.requests) }),
    };
    writeRecord(dir, record, config);
    emit(engine, { ...containerActor(record), action: 'create' });
    // From here on who ends or removes the pod finds it there.
    pod?.[Symbol.dispose]();
    const kept = stack.move();
    return {
      record,
      config,
      rootfs,
      life,
      warnings: [...(made?.warnings ?? []), ...warnings],
      ...(monitor === undefined ? {} : { monitor }),
      [Symbol.dispose]: () => kept.dispose(),
    };
  } catch (error) {
    await deleteContainer(engine, id);
    if (name !== undefined) releaseName(engine, name, id);
    throw fileError(error, 'create container');
  }
}

/** What nobody says about networks. A bundle says it itself. */
export function withDefaultNetwork(engine: Engine, options: CreateOptions): CreateOptions {
  if (options.network !== undefined || options.source.startsWith('bundle:')) return options;
  return asksForNetwork(options) ? options : { ...options, network: engine.defaultNetwork ?? 'bridge' };
}

async function recordNetwork(
  network: NetworkRequest,
  { expose = [] }: CreateOptions,
  exposed: readonly string[] = [],
): Promise<RecordedNetwork> {
  return (await import('./network-ports.ts')).recordedNetwork(network, [...exposed, ...expose]);
}

type NetworkOptions = Pick<
  CreateOptions,
  'network' | 'publish' | 'publishAll' | 'ip' | 'ip6' | 'macAddress' | 'networkAliases' | 'egress'
>;

/** Whether it is to have more of networks than none, or the machine's. */
export function asksForNetwork(options: NetworkOptions): boolean {
  const { network, publish, publishAll, ip, ip6, macAddress, networkAliases, egress } = options;
  const isPlain = network === undefined || network === 'none' || network === 'host';
  return !isPlain || (publish ?? publishAll ?? ip ?? ip6 ?? macAddress ?? networkAliases ?? egress) !== undefined;
}

/** Whether it is to find names in another way than the machine does. */
export function asksForNames({
  dns,
  dnsSearch,
  dnsOptions,
  addHosts,
}: Pick<CreateOptions, 'dns' | 'dnsSearch' | 'dnsOptions' | 'addHosts'>): boolean {
  return (dns ?? dnsSearch ?? dnsOptions ?? addHosts) !== undefined;
}

async function ownNamespace(engine: Engine, options: CreateOptions): Promise<NamespaceRequest | undefined> {
  if (!asksForNamespace(options)) return undefined;
  const { namespaceRequest } = await import('./namespace-request.ts');
  const { rootless } = engine;
  return namespaceRequest(
    options,
    rootless && { uid: rootless.uid, gid: rootless.gid, uids: mappedIds('uid'), gids: mappedIds('gid') },
  );
}

function destinations({ mounts }: RuntimeConfig): ReadonlySet<string> {
  return new Set(mounts?.map(({ destination }) => destination));
}

/** Volumes, images and files to give away: those of plain binds and tmpfs need nothing made for them. */
function wantsVolumes({ mounts, volumesFrom }: CreateOptions, { imageConfig }: PreparedSource): boolean {
  return (
    volumesFrom !== undefined ||
    (imageConfig?.process.volumes.length ?? 0) > 0 ||
    mounts?.some((mount) => mount.type === 'volume' || mount.type === 'image' || 'chown' in mount) === true
  );
}

function recordedMounts(
  { mounts }: CreateOptions,
  taken: readonly RecordedMount[] | undefined,
): Pick<ContainerRecord, 'mounts'> {
  if (taken !== undefined) return { mounts: taken };
  return mounts === undefined || mounts.length === 0 ? {} : { mounts: mounts as readonly RecordedMount[] };
}

/** What is kept of the options: not how the registry was reached, nor how large the terminal was. Volumes of another container are named as such. */
function withoutCredentials(options: CreateOptions, mounts: readonly MountRequest[] | undefined): CreateOptions {
  const { registry: _registry, terminalSize: _size, volumesFrom: _from, ...kept } = options;
  return mounts === undefined ? kept : { ...kept, mounts };
}

/** Makes the directory of what is being created, with its life lock. Errors: by errno. */
export function makeStateDir(dir: string, place: string | undefined): Fd {
  try {
    return createStateDir(dir, place);
  } catch (error) {
    throw fileError(error, 'create container');
  }
}

/** Reserves the name that is wanted, or one that is free. Errors: already-exists. */
export async function nameFor(engine: Engine, wanted: string | undefined, id: string): Promise<string> {
  if (wanted !== undefined) {
    await claimName(engine, wanted, id);
    return wanted;
  }
  for (let attempt = 0; ; attempt++) {
    const name = attempt === 0 ? generatedName(id) : `${generatedName(id)}_${id.slice(0, 3 + attempt)}`;
    try {
      reserveName(engine, name, id);
      return name;
    } catch (error) {
      if (attempt === NAME_TRIES || !(error instanceof TareError) || error.kind !== 'already-exists') throw error;
    }
  }
}
