import { TareError } from '../../base/errors.ts';
import type { LinuxResources } from '../../spec/runtime-types.ts';
import { errnoAdvice } from './_errno-advice.ts';
import { blkioToIoWeight, limitToV2, sharesToWeight, swapToV2 } from './convert.ts';
import { codeOf, kernelWords, readKernelFile, writeKernelFile } from './files.ts';
import type { CgroupHost } from './host.ts';
import { Limits } from './limits.ts';
import { locateCgroup } from './locate.ts';
import type { CgroupWrite } from './plan.ts';
import { checkResources } from './resources.ts';

/**
 * Changes the limits of a cgroup with processes in it from `before` to `after`. What is equal in both is left alone; what `after` no longer limits is unlimited again. All of it
 * takes effect or, when the kernel refuses a part, nothing. Returns warnings.
 *
 * Errors: invalid for values no kernel takes; not-found when the cgroup is gone; unsupported without a controller; by errno for what the kernel refuses.
 */
export function updateCgroup(
  host: CgroupHost,
  cgroupPath: string,
  before: LinuxResources,
  after: LinuxResources,
): readonly string[] {
  checkResources(after);
  const place = locateCgroup(host, cgroupPath);
  const limits = new Limits((name) => (Object.hasOwn(place.controllers, name) ? place.controllers[name] : undefined));
  const isV1 = host.hierarchies.some(({ version, readOnly }) => version === 1 && !readOnly);
  (isV1 ? changesV1 : changesV2)(before, after, limits);
  const undo: (readonly [file: string, value: string])[] = [];
  const warnings = [...limits.warnings];
  for (const write of limits.writes) {
    try {
      undo.push(put(place.root, write));
    } catch (error) {
      if (write.optional && codeOf(error) === 'ENOENT' && readKernelFile(`${place.root}/${place.procs}`) !== undefined)
        continue;
      if (write.optional && codeOf(error) !== 'ENOENT') {
        warnings.push(`The ${write.purpose} is not enforced: ${kernelWords(error)} (${place.root}/${write.file})`);
        continue;
      }
      // As it was: the last first.
      for (const [file, value] of undo.toReversed()) writeKernelFile(file, value);
      throw refused(write, error, place);
    }
  }
  return warnings;
}

/** Writes a limit and returns what was there. */
function put(root: string, { file, value, orElse }: CgroupWrite): readonly [file: string, value: string] {
  const candidates = [{ file, value }, ...(orElse === undefined ? [] : [orElse])];
  const chosen = candidates.find((candidate) => readKernelFile(`${root}/${candidate.file}`) !== undefined);
  const target = chosen ?? { file, value };
  const path = `${root}/${target.file}`;
  const old = readKernelFile(path) ?? '';
  writeKernelFile(path, target.value);
  return [path, old];
}

function refused(
  write: CgroupWrite,
  error: unknown,
  place: { readonly root: string; readonly procs: string },
): unknown {
  const code = codeOf(error);
  if (code === 'ENOENT' || code === 'ENODEV') {
    if (readKernelFile(`${place.root}/${place.procs}`) === undefined)
      return new TareError('not-found', `Cannot set the ${write.purpose}: the cgroup is gone`, { cause: error });
  }
  const inUse = code === 'EBUSY' && /memory/.test(write.file);
  const [kind, advice] = inUse
    ? (['failed-precondition', 'more than that is in use and cannot be given back'] as const)
    : (errnoAdvice[code] ?? (['internal', ''] as const));
  return new TareError(
    kind,
    `Cannot set the ${write.purpose} to ${write.value}: ${kernelWords(error)} (${place.root}/${write.file})${advice && `; ${advice}`}; nothing was changed`,
    { cause: error },
  );
}

const UNLIMITED = -1;
const DEFAULT_SHARES = 1024;
const DEFAULT_PERIOD_US = 100_000;
const DEFAULT_BLKIO_WEIGHT = 500;

/** 0 and absent are what -1 is. */
const limitOf = (value: number | undefined): number => (value === undefined || value === 0 ? UNLIMITED : value);

function changesV1(before: LinuxResources, after: LinuxResources, to: Limits): void {
  const limit = limitOf(after.memory?.limit);
  const swap = limitOf(after.memory?.swap);
  const oldSwap = limitOf(before.memory?.swap);
  const setLimit = (): void => {
    if (limit !== limitOf(before.memory?.limit))
      to.set('memory limit', 'memory', 'memory.limit_in_bytes', String(limit));
  };
  const setSwap = (): void => {
    if (swap !== oldSwap)
      to.set('swap limit', 'memory', 'memory.memsw.limit_in_bytes', String(swap), { optional: true });
  };
  // Memory may at no moment be more than memory plus swap.
  const grows = oldSwap !== UNLIMITED && (limit === UNLIMITED || limit > oldSwap);
  for (const set of grows ? [setSwap, setLimit] : [setLimit, setSwap]) set();
  const reservation = limitOf(after.memory?.reservation);
  if (reservation !== limitOf(before.memory?.reservation))
    to.set('memory reservation', 'memory', 'memory.soft_limit_in_bytes', String(reservation));
  const shares = after.cpu?.shares || DEFAULT_SHARES;
  if (shares !== (before.cpu?.shares || DEFAULT_SHARES)) to.set('CPU shares', 'cpu', 'cpu.shares', String(shares));
  const period = after.cpu?.period || DEFAULT_PERIOD_US;
  if (period !== (before.cpu?.period || DEFAULT_PERIOD_US))
    to.set('CPU period', 'cpu', 'cpu.cfs_period_us', String(period));
  const quota = limitOf(after.cpu?.quota);
  if (quota !== limitOf(before.cpu?.quota)) to.set('CPU quota', 'cpu', 'cpu.cfs_quota_us', String(quota));
  changesOfBoth(before, after, to);
  const weight = after.blockIO?.weight || DEFAULT_BLKIO_WEIGHT;
  if (weight !== (before.blockIO?.weight || DEFAULT_BLKIO_WEIGHT))
    to.set('block I/O weight', 'blkio', 'blkio.weight', String(weight), {
      orElse: ['blkio.bfq.weight', String(weight)],
    });
}

function changesV2(before: LinuxResources, after: LinuxResources, to: Limits): void {
  const limit = limitOf(after.memory?.limit);
  if (limit !== limitOf(before.memory?.limit)) to.set('memory limit', 'memory', 'memory.max', limitToV2(limit));
  const swapOf = ({ memory }: LinuxResources): string =>
    swapToV2(memory?.limit || undefined, memory?.swap || undefined) ?? 'max';
  if (swapOf(after) !== swapOf(before))
    to.set('swap limit', 'memory', 'memory.swap.max', swapOf(after), { optional: true });
  const reservation = after.memory?.reservation ?? 0;
  if (reservation !== (before.memory?.reservation ?? 0))
    to.set('memory reservation', 'memory', 'memory.low', String(Math.max(0, reservation)));
  const weightOf = ({ cpu }: LinuxResources): number => (cpu?.shares ? sharesToWeight(cpu.shares) : 100);
  if (weightOf(after) !== weightOf(before)) to.set('CPU shares', 'cpu', 'cpu.weight', String(weightOf(after)));
  const bandwidthOf = ({ cpu }: LinuxResources): string =>
    `${limitToV2(limitOf(cpu?.quota))} ${cpu?.period || DEFAULT_PERIOD_US}`;
  if (bandwidthOf(after) !== bandwidthOf(before)) to.set('CPU quota', 'cpu', 'cpu.max', bandwidthOf(after));
  changesOfBoth(before, after, to);
  const weight = after.blockIO?.weight;
  if ((weight || undefined) !== (before.blockIO?.weight || undefined))
    to.set('block I/O weight', 'io', 'io.bfq.weight', String(weight || 100), {
      orElse: ['io.weight', `default ${weight ? blkioToIoWeight(weight) : 100}`],
    });
}

/** What both versions have in files of one name. */
function changesOfBoth(before: LinuxResources, after: LinuxResources, to: Limits): void {
  const { cpus, mems } = after.cpu ?? {};
  if (cpus && cpus !== before.cpu?.cpus) to.set('choice of CPUs', 'cpuset', 'cpuset.cpus', cpus);
  if (mems && mems !== before.cpu?.mems) to.set('choice of memory nodes', 'cpuset', 'cpuset.mems', mems);
  const pids = limitOf(after.pids?.limit);
  if (pids !== limitOf(before.pids?.limit)) to.set('limit of processes', 'pids', 'pids.max', limitToV2(pids));
}
