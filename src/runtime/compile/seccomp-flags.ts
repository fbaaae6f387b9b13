import type { LinuxSeccomp } from '../../spec/runtime-types.ts';
import { invalid, unsupported } from './draft.ts';

/** SECCOMP_FILTER_FLAG_*. TSYNC and WAIT_KILLABLE_RECV mean nothing to a process of one thread without a listener. */
const flagBits: Readonly<Record<string, number>> = {
  SECCOMP_FILTER_FLAG_TSYNC: 0,
  SECCOMP_FILTER_FLAG_LOG: 2,
  SECCOMP_FILTER_FLAG_SPEC_ALLOW: 4,
  SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV: 0,
};

/** Flags for seccomp(2). Errors: `invalid` for an unknown flag, `unsupported` for a profile that wants a listener. */
export function seccompFlags(profile: LinuxSeccomp): number {
  if (profile.listenerPath !== undefined && profile.listenerPath !== '')
    throw unsupported('linux.seccomp.listenerPath', 'SCMP_ACT_NOTIFY is not supported yet');
  let flags = 0;
  for (const name of profile.flags ?? []) {
    if (!Object.hasOwn(flagBits, name))
      throw invalid('linux.seccomp.flags', `there is no flag ${JSON.stringify(name)}`);
    flags |= flagBits[name] ?? 0;
  }
  return flags;
}
