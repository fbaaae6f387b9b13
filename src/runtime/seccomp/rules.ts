import { TareError } from '../../base/errors.ts';
import type { LinuxSeccomp, SeccompAction, SeccompSyscall } from '../../spec/runtime-types.ts';
import type { SyscallArch } from './arch.ts';
import { type Condition, toCondition } from './conditions.ts';
import { multiplexer } from './multiplexed.ts';

const EPERM = 1;
const DATA_MASK = 0xffff;

/** SECCOMP_RET_*; the errno or trace message goes to the lower 16 bits. */
const actionValues: Readonly<Record<Exclude<SeccompAction, 'SCMP_ACT_NOTIFY'>, number>> = {
  SCMP_ACT_KILL: 0,
  SCMP_ACT_KILL_THREAD: 0,
  SCMP_ACT_KILL_PROCESS: 0x80000000,
  SCMP_ACT_TRAP: 0x00030000,
  SCMP_ACT_ERRNO: 0x00050000,
  SCMP_ACT_TRACE: 0x7ff00000,
  SCMP_ACT_LOG: 0x7ffc0000,
  SCMP_ACT_ALLOW: 0x7fff0000,
};

/** What happens to one system call: always the same, or the first clause whose conditions all hold, else the default. */
export type Verdict = { readonly always: number } | { readonly clauses: readonly Clause[] };

export interface Clause {
  readonly conditions: readonly Condition[];
  /** Compared in 64 bits, else in the lower 32. */
  readonly wide: boolean;
  readonly value: number;
}

/** The value a filter returns for an action. Errors: `unsupported` for NOTIFY. */
export function actionValue(action: SeccompAction, errnoRet: number | undefined): number {
  if (action === 'SCMP_ACT_NOTIFY')
    throw new TareError('unsupported', 'Cannot compile seccomp profile: SCMP_ACT_NOTIFY is not supported yet');
  const takesData = action === 'SCMP_ACT_ERRNO' || action === 'SCMP_ACT_TRACE';
  return (actionValues[action] | (takesData ? (errnoRet ?? EPERM) & DATA_MASK : 0)) >>> 0;
}

/**
 * The verdicts of a profile for one architecture, by system call number, with libseccomp's and runc's meaning: names that do not exist there are
 * skipped, a rule that repeats the default action is skipped, a rule without conditions beats all with some, of several the first counts.
 * Several conditions on one argument are alternatives. On i386 a rule for a socket or ipc call also holds for its multiplexed form.
 */
export function collectVerdicts(profile: LinuxSeccomp, arch: SyscallArch): Map<number, Verdict> {
  const fallback = actionValue(profile.defaultAction, profile.defaultErrnoRet);
  const verdicts = new Map<number, Verdict>();
  for (const rule of profile.syscalls ?? []) {
    const value = actionValue(rule.action, rule.errnoRet);
    if (value === fallback) continue;
    const alternatives = conditionsOf(rule);
    for (const name of rule.names) {
      const number = arch.numbers.get(name);
      if (number !== undefined) add(verdicts, number, alternatives, value, arch.wide);
      const mux = arch.multiplexed ? multiplexer(name) : undefined;
      const carrier = mux === undefined ? undefined : arch.numbers.get(mux.name);
      if (mux === undefined || carrier === undefined) continue;
      const selected: Condition = { index: 0, op: 'SCMP_CMP_EQ', value: mux.selector, second: 0n };
      const carried = alternatives.map((conditions) => [selected, ...conditions.filter(({ index }) => index !== 0)]);
      add(verdicts, carrier, carried, value, arch.wide);
    }
  }
  return verdicts;
}

/** Alternatives, each a list of conditions that must all hold; one empty list for a rule without conditions. */
function conditionsOf(rule: SeccompSyscall): readonly (readonly Condition[])[] {
  const conditions = (rule.args ?? []).map(toCondition);
  const distinct = new Set(conditions.map(({ index }) => index)).size === conditions.length;
  return distinct ? [conditions] : conditions.map((condition) => [condition]);
}

function add(
  verdicts: Map<number, Verdict>,
  number: number,
  alternatives: readonly (readonly Condition[])[],
  value: number,
  wide: boolean,
): void {
  const known = verdicts.get(number);
  if (known !== undefined && 'always' in known) return;
  if (alternatives.some((conditions) => conditions.length === 0)) {
    verdicts.set(number, { always: value });
    return;
  }
  const clauses = alternatives.map((conditions) => ({ conditions, wide, value }));
  verdicts.set(number, { clauses: [...(known?.clauses ?? []), ...clauses] });
}
