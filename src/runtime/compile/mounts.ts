import type { MountIds } from '../../spec/mount.ts';
import type { Device, Mount, RuntimeConfig } from '../../spec/runtime-types.ts';
import { planConstants } from '../../sys/plan/schema.ts';
import { compileCgroupMount } from './cgroup-mount.ts';
import { containerPath, isWithin } from './container-path.ts';
import { compileDevices, compileFilePoint } from './devices.ts';
import { type Draft, invalid, unsupported } from './draft.ts';
import { type MountOptions, mountAttr, parseMountOptions } from './mount-options.ts';
import type { Namespaces } from './namespaces.ts';
import type { CompileOptions, ContainerCgroup, FdSource } from './types.ts';

const { MOUNT_COPYUP, MOUNT_NOFOLLOW, KIND_DIRECTORY, KIND_FILE } = planConstants;

/** MS_PRIVATE|MS_REC: a clone of a shared mount would otherwise hand the container's own mounts to the host. */
const MS_RPRIVATE = 0x44000;

/** The only files of /proc that may be replaced (LXCFS and the like). Anything else could fake what the runtime or a host tool reads there. */
const replaceableProcFiles = new Set(
  [
    'cpuinfo',
    'diskstats',
    'meminfo',
    'stat',
    'swaps',
    'uptime',
    'loadavg',
    'slabinfo',
    'sys/kernel/ns_last_pid',
    'sys/crypto/fips_enabled',
  ].map((name) => `/proc/${name}`),
);

/** File systems without a device: "ro" is a property of the mount alone; one superblock may serve many containers. */
const virtualTypes = new Set([
  'proc',
  'sysfs',
  'tmpfs',
  'devpts',
  'mqueue',
  'cgroup2',
  'overlay',
  'ramfs',
  'debugfs',
  'tracefs',
  'securityfs',
  'bpf',
  'fuse',
  'binfmt_misc',
  'hugetlbfs',
]);

export interface MountContext {
  readonly config: RuntimeConfig;
  readonly namespaces: Namespaces;
  readonly cgroup: ContainerCgroup;
  readonly mountKinds: (source: string) => 'directory' | 'file';
  /** Binds whose source the caller has opened. */
  readonly opened: CompileOptions['opened'];
  readonly bundle: string | undefined;
  /** Device nodes can be made. */
  readonly mknod: boolean;
}

/** A mount with its destination cleaned and its options sorted. */
interface Planned {
  readonly mount: Mount;
  readonly target: string;
  readonly options: MountOptions;
  readonly what: string;
}

/**
 * All mounts, in the configuration's order, and the contents of /dev.
 *
 * Errors: `invalid` for destinations that are relative, the root itself, or on or below /proc (but for a fixed list of files), bind mounts with
 * file system options, options nobody knows, id maps that are missing; `unsupported` for id maps of what is no bind mount and no overlay.
 */
export function compileMounts(draft: Draft, context: MountContext): void {
  const planned = (context.config.mounts ?? []).map(plan);
  const devices = context.config.linux?.devices ?? [];
  const dev = planned.findLast(({ target }) => target === '/dev');
  for (const entry of planned) {
    checkProc(entry);
    const sealed = entry === dev && (entry.options.set & mountAttr.RDONLY) !== 0 && !entry.options.bind;
    compileMount(draft, sealed ? withoutReadOnly(entry) : entry, context);
    if (!sealed) continue;
    // A read-only /dev is filled first, with a place for everything mounted below it, and sealed before that is mounted.
    setUpDev(draft, context, devices, planned);
    for (const { target, options, mount } of planned) {
      if (target === '/dev' || !isWithin(target, '/dev')) continue;
      if (options.bind && kindOf(mount, context) === 'file') compileFilePoint(draft, target);
      else draft.add({ op: 'mkdir', target, mode: 0o755, uid: 0, gid: 0 });
    }
    if (context.config.process?.terminal === true) compileFilePoint(draft, '/dev/console');
    draft.add({ op: 'readonlyPath', target: '/dev' });
  }
  const devIsSealed = dev !== undefined && (dev.options.set & mountAttr.RDONLY) !== 0;
  // A bound /dev is the host's: what is in it is not ours to change.
  if (!devIsSealed && dev?.options.bind !== true) setUpDev(draft, context, devices, planned);
}

function setUpDev(draft: Draft, context: MountContext, devices: readonly Device[], planned: readonly Planned[]): void {
  compileDevices(draft, devices, {
    mknod: context.mknod,
    devpts: planned.some(({ target, mount }) => target === '/dev/pts' && mount.type === 'devpts'),
    taken: new Set(planned.map(({ target }) => target)),
  });
}

function plan(mount: Mount): Planned {
  const what = `mount on ${mount.destination}`;
  const target = containerPath(mount.destination, 'mount destination');
  if (target === '/') throw invalid(what, 'the root is given by root.path');
  const parsed = parseMountOptions(mount.options ?? [], what);
  const bind = parsed.bind || mount.type === 'bind' || mount.type === 'rbind';
  const options = { ...parsed, bind, recursiveBind: parsed.recursiveBind || mount.type === 'rbind' };
  if (bind && options.data.length > 0) {
    throw invalid(
      what,
      `a bind mount cannot carry option ${options.data.join(', ')}: it belongs to the file system, which is mounted already`,
    );
  }
  if (bind && options.copyUp) throw invalid(what, 'tmpcopyup is for tmpfs');
  if (!bind && mount.type !== 'overlay' && (isMapped(mount) || parsed.idmap !== undefined))
    throw unsupported(what, 'only bind mounts and overlays can be id-mapped');
  if (!bind && (mount.type === undefined || mount.type === '' || mount.type === 'none'))
    throw invalid(what, 'it has no type');
  return { mount, target, options, what };
}

function isMapped({ uidMappings, gidMappings }: Mount): boolean {
  return (uidMappings?.length ?? 0) + (gidMappings?.length ?? 0) > 0;
}

/** Whose the files of an id-mapped mount are (config.md, "Mounts"): what the mount says, or the container's user namespace. */
function mountIds(
  mount: Mount,
  options: MountOptions,
  what: string,
  { linux }: RuntimeConfig,
): (MountIds & { readonly recursive: boolean }) | undefined {
  if (!isMapped(mount) && options.idmap === undefined) return undefined;
  const { uidMappings = [], gidMappings = [] } = isMapped(mount) ? mount : (linux ?? {});
  if (uidMappings.length === 0 && gidMappings.length === 0)
    throw invalid(what, 'it is to be id-mapped, and neither it nor the container (a user namespace) says how');
  if (uidMappings.length === 0 || gidMappings.length === 0)
    throw invalid(what, 'it needs both uidMappings and gidMappings');
  return { uidMappings, gidMappings, recursive: options.idmap === 'ridmap' };
}

/** CVE-2019-16884, CVE-2019-19921: a volume on /proc could show the runtime files of the image's making. */
function checkProc({ mount, target, options, what }: Planned): void {
  if (!isWithin(target, '/proc')) return;
  if (target === '/proc') {
    if (options.bind ? mount.source === '/proc' : mount.type === 'proc') return;
    throw invalid(what, 'only proc may be mounted there');
  }
  if (!options.bind || !replaceableProcFiles.has(target)) throw invalid(what, 'it lies below /proc');
}

function withoutReadOnly(entry: Planned): Planned {
  return { ...entry, options: { ...entry.options, set: entry.options.set & ~mountAttr.RDONLY } };
}

function compileMount(draft: Draft, { mount, target, options, what }: Planned, context: MountContext): void {
  if (options.bind) {
    compileBind(draft, mount, target, options, what, context);
  } else if (mount.type === 'cgroup' || mount.type === 'cgroup2') {
    compileCgroupMount(draft, target, options, context.cgroup, context.namespaces);
  } else if (mount.type === 'overlay') {
    compileOverlay(draft, target, options, what, mountIds(mount, options, what, context.config));
  } else {
    const type = mount.type ?? '';
    const readOnly = (options.set & mountAttr.RDONLY) !== 0;
    draft.add({
      op: 'mountFs',
      type,
      source: mount.source ?? type,
      options: readOnly && !virtualTypes.has(type) ? ['ro', ...options.data] : options.data,
      attrs: options.set,
      target,
      mkdir: 0o755,
      flags: (options.copyUp ? MOUNT_COPYUP : 0) | mustBeReal(target),
      propagation: options.propagation,
    });
  }
}

/** An overlay of host directories, as `lowerdir=`, `upperdir=` and `workdir=` name them (lower directories separated by ":", "\\:" for a colon). */
function compileOverlay(
  draft: Draft,
  target: string,
  options: MountOptions,
  what: string,
  ids: MountIds | undefined,
): void {
  const rest: string[] = [];
  let lowers: readonly string[] = [];
  let upper: string | undefined;
  let work: string | undefined;
  for (const option of options.data) {
    const [key, value] = [option.slice(0, option.indexOf('=')), option.slice(option.indexOf('=') + 1)];
    if (key === 'lowerdir') lowers = value.split(/(?<!\\):/).map((path) => path.replaceAll('\\:', ':'));
    else if (key === 'upperdir') upper = value;
    else if (key === 'workdir') work = value;
    else rest.push(option);
  }
  if (lowers.length === 0) throw invalid(what, 'an overlay needs lowerdir');
  const mount = {
    kind: 'overlay',
    lowers,
    options: rest,
    ...(upper === undefined ? {} : { upper }),
    ...(work === undefined ? {} : { work }),
    ...(ids === undefined ? {} : { ids: { uidMappings: ids.uidMappings, gidMappings: ids.gidMappings } }),
  } as const;
  draft.add({
    op: 'mountFd',
    fd: draft.fd({ kind: 'overlay', mount }),
    target,
    set: options.set,
    clear: options.clear,
    recursive: 0,
    propagation: options.propagation === 0 ? MS_RPRIVATE : options.propagation,
    kind: KIND_DIRECTORY,
    flags: mustBeReal(target),
  });
}

function compileBind(
  draft: Draft,
  mount: Mount,
  target: string,
  options: MountOptions,
  what: string,
  context: MountContext,
): void {
  const ids = mountIds(mount, options, what, context.config);
  const { fd, kind } = bindSource(mount, options, what, context);
  draft.add({
    op: 'mountFd',
    fd: draft.fd(ids === undefined ? fd : { ...fd, ids }),
    target,
    set: options.set,
    clear: options.clear,
    recursive: options.recursive ? 1 : 0,
    propagation: options.propagation === 0 ? MS_RPRIVATE : options.propagation,
    kind: kind === 'directory' ? KIND_DIRECTORY : KIND_FILE,
    flags: mustBeReal(target),
  });
}

function bindSource(
  mount: Mount,
  options: MountOptions,
  what: string,
  context: MountContext,
): { readonly fd: Extract<FdSource, { kind: 'tree' | 'opened' }>; readonly kind: 'directory' | 'file' } {
  const index = context.opened?.findIndex(({ destination }) => destination === mount.destination) ?? -1;
  const opened = context.opened?.[index];
  if (opened !== undefined) return { fd: { kind: 'opened', index }, kind: opened.kind };
  const source = hostPath(mount.source, what, context.bundle);
  return { fd: { kind: 'tree', source, recursive: options.recursiveBind }, kind: context.mountKinds(source) };
}

function kindOf(mount: Mount, { opened, mountKinds }: MountContext): 'directory' | 'file' {
  return opened?.find(({ destination }) => destination === mount.destination)?.kind ?? mountKinds(mount.source ?? '');
}

/** Where the runtime itself relies on what it mounted, no symlink of the image may lead elsewhere (CVE-2023-27561, CVE-2026-41579). */
function mustBeReal(target: string): number {
  return isWithin(target, '/proc') || target === '/sys' || target === '/dev' ? MOUNT_NOFOLLOW : 0;
}

function hostPath(source: string | undefined, what: string, bundle: string | undefined): string {
  if (source === undefined || source === '') throw invalid(what, 'a bind mount needs a source');
  if (source.startsWith('/')) return source;
  if (bundle === undefined) throw invalid(what, `its source ${source} is relative and there is no bundle`);
  return `${bundle}/${source}`;
}
