import type { LinuxSeccomp } from '../../spec/runtime-types.ts';
import { type NativeArch, type SyscallArch, X32_BIT, nativeArchName, syscallArch } from './arch.ts';
import { BackwardAssembler, type Label, bpf } from './bpf.ts';
import { emitCondition } from './conditions.ts';
import { type Clause, type Verdict, actionValue, collectVerdicts } from './rules.ts';

const NR_OFFSET = 0;
const ARCH_OFFSET = 4;
const MAX_NUMBER = 0xffffffff;
const KILL_THREAD = 0;
const ENOSYS = 38;

/** Numbers from `start` on (to the next segment) share a verdict. */
interface Segment {
  readonly start: number;
  readonly verdict: Verdict;
}

/**
 * Compiles an OCI profile to classic BPF (struct sock_filter[], little-endian).
 *
 * The machine's own architecture is always in the filter, besides those the profile names; a call of any other kills the thread, as with libseccomp.
 * System calls newer than every one the profile names answer ENOSYS where the default denies with another error: a C library then falls back to older
 * calls instead of failing (runc's rule). The kernel remembers which calls are always allowed (since 5.11), so that the search below only
 * runs for the others; it is balanced over ranges of numbers with equal verdicts.
 *
 * Errors: `invalid` for an unknown architecture; `unsupported` for NOTIFY; `exhausted` for more than 4096 instructions.
 */
export function compileProfile(profile: LinuxSeccomp, native: NativeArch): Uint8Array {
  const names = new Set([nativeArchName(native), ...(profile.architectures ?? [])]);
  const arches = [...names].map(syscallArch).filter((arch) => arch !== undefined);
  const fallback = actionValue(profile.defaultAction, profile.defaultErrnoRet);
  const out = new BackwardAssembler();
  const audits = [...new Set(arches.map(({ audit }) => audit))];
  let entry = out.ret(KILL_THREAD);
  // The native architecture is tested first, so it is written last.
  for (const audit of audits.toReversed()) {
    const family = arches.filter((arch) => arch.audit === audit);
    const search = emitFamily(out, family, profile, fallback);
    entry = out.branch(bpf.JEQ, audit, search, entry);
  }
  return out.finish(out.onward(bpf.LOAD, ARCH_OFFSET, entry));
}

/** All numberings with one audit value: a single one, or x86-64 and x32, told apart by a bit of the number. */
function emitFamily(
  out: BackwardAssembler,
  family: readonly SyscallArch[],
  profile: LinuxSeccomp,
  fallback: number,
): Label {
  const segments: Segment[] = [];
  const isX86 = family.some(({ name }) => name === 'SCMP_ARCH_X86_64' || name === 'SCMP_ARCH_X32');
  if (!isX86) {
    for (const arch of family) segments.push(...archSegments(profile, arch, 0, MAX_NUMBER, fallback));
  } else {
    const plain = family.find(({ base }) => base === 0);
    const x32 = family.find(({ base }) => base === X32_BIT);
    segments.push(
      ...(plain === undefined
        ? [{ start: 0, verdict: { always: KILL_THREAD } }]
        : archSegments(profile, plain, 0, X32_BIT - 1, fallback)),
    );
    if (x32 !== undefined) segments.push(...archSegments(profile, x32, X32_BIT, MAX_NUMBER, fallback));
    // Number -1 is how a tracer skips a call; it is none of x32's.
    else
      segments.push(
        { start: X32_BIT, verdict: { always: KILL_THREAD } },
        { start: MAX_NUMBER, verdict: { always: fallback } },
      );
  }
  const tree = emitSearch(out, merge(segments), fallback);
  return out.onward(bpf.LOAD, NR_OFFSET, tree);
}

/** One architecture's verdicts as segments that cover `first` to `last`. */
function archSegments(
  profile: LinuxSeccomp,
  arch: SyscallArch,
  first: number,
  last: number,
  fallback: number,
): Segment[] {
  const verdicts = [...collectVerdicts(profile, arch)].sort(([a], [b]) => a - b);
  const segments: Segment[] = [];
  const otherwise: Verdict = { always: fallback };
  let next = first;
  for (const [number, verdict] of verdicts) {
    if (number > next) segments.push({ start: next, verdict: otherwise });
    segments.push({ start: number, verdict });
    next = number + 1;
  }
  if (next > last) return segments;
  const newest = newestNamed(profile, arch);
  if (newest === undefined || !deniesWithAnotherError(profile))
    return [...segments, { start: next, verdict: otherwise }];
  if (newest >= next) segments.push({ start: next, verdict: otherwise });
  segments.push({ start: newest + 1, verdict: { always: actionValue('SCMP_ACT_ERRNO', ENOSYS) } });
  return segments;
}

function deniesWithAnotherError(profile: LinuxSeccomp): boolean {
  const { defaultAction, defaultErrnoRet } = profile;
  if (defaultAction === 'SCMP_ACT_ALLOW' || defaultAction === 'SCMP_ACT_LOG' || defaultAction === 'SCMP_ACT_TRACE')
    return false;
  return !(defaultAction === 'SCMP_ACT_ERRNO' && defaultErrnoRet === ENOSYS);
}

function newestNamed(profile: LinuxSeccomp, arch: SyscallArch): number | undefined {
  let newest: number | undefined;
  for (const { names } of profile.syscalls ?? []) {
    for (const name of names) {
      const number = arch.numbers.get(name);
      if (number !== undefined && (newest === undefined || number > newest)) newest = number;
    }
  }
  return newest;
}

function sameVerdict(a: Verdict, b: Verdict): boolean {
  return a === b || ('always' in a && 'always' in b && a.always === b.always);
}

function merge(segments: readonly Segment[]): Segment[] {
  const merged: Segment[] = [];
  for (const segment of segments) {
    const last = merged.at(-1);
    if (last === undefined || !sameVerdict(last.verdict, segment.verdict)) merged.push(segment);
  }
  return merged;
}

/** A balanced search: the accumulator holds the number. */
function emitSearch(out: BackwardAssembler, segments: readonly Segment[], fallback: number): Label {
  const [first] = segments;
  if (first === undefined) return out.ret(fallback);
  if (segments.length === 1) return emitVerdict(out, first.verdict, fallback);
  const middle = segments.length >> 1;
  const right = emitSearch(out, segments.slice(middle), fallback);
  const left = emitSearch(out, segments.slice(0, middle), fallback);
  return out.branch(bpf.JGE, segments[middle]?.start ?? 0, right, left);
}

function emitVerdict(out: BackwardAssembler, verdict: Verdict, fallback: number): Label {
  if ('always' in verdict) return out.ret(verdict.always);
  let otherwise = out.ret(fallback);
  for (const clause of verdict.clauses.toReversed()) otherwise = emitClause(out, clause, otherwise);
  return otherwise;
}

function emitClause(out: BackwardAssembler, clause: Clause, otherwise: Label): Label {
  let label = out.ret(clause.value);
  for (const condition of clause.conditions.toReversed())
    label = emitCondition(out, condition, clause.wide, label, otherwise);
  return label;
}
