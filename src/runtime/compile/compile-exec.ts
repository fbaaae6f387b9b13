import type { Process } from '../../spec/runtime-types.ts';
import { Draft, invalid, unsupported } from './draft.ts';
import { Namespaces } from './namespaces.ts';
import { boundingMask, compileAttributes, compileIdentity, seccompOf } from './process.ts';
import {
  SIGKILL,
  cgroupSlot,
  compileOomScore,
  compileStdio,
  compileStdioOwner,
  compileTasks,
  compileTerminal,
} from './session-steps.ts';
import type { CompileExecOptions, CompiledPlan, ExecTarget } from './types.ts';

/**
 * The Plan of an exec session: enters the container's cgroup and namespaces by the pidfd of its first process, then becomes `process`. Limits,
 * labels and score not said by `process` are the container's; no_new_privs and the filter always are.
 *
 * Errors: as `compile`.
 */
export function compileExec(process: Process, container: ExecTarget, options: CompileExecOptions): CompiledPlan {
  const { config, cgroup } = container;
  const own = config.process;
  if (process.execCPUAffinity !== undefined) throw unsupported('process.execCPUAffinity', 'it is not supported yet');
  if (options.stdio !== undefined && (process.terminal === true) !== (options.stdio === 'pty'))
    throw invalid('process.terminal', `it is ${String(process.terminal === true)} but stdio is ${options.stdio}`);
  const draft = new Draft();
  const namespaces = new Namespaces(config.linux);
  const inherited = <K extends 'rlimits' | 'oomScoreAdj' | 'apparmorProfile' | 'selinuxLabel'>(
    key: K,
  ): Partial<Pick<Process, K>> =>
    process[key] === undefined && own?.[key] !== undefined ? ({ [key]: own[key] } as Pick<Process, K>) : {};
  const full: Process = {
    ...process,
    ...inherited('rlimits'),
    ...inherited('oomScoreAdj'),
    ...inherited('apparmorProfile'),
    ...inherited('selinuxLabel'),
  };

  if (options.stdio !== undefined) compileStdio(draft, options.stdio, options.stdin === true, false);
  for (let index = 0; index < (options.preserveFds ?? 0); index++)
    draft.add({ op: 'preserve', fd: draft.fd({ kind: 'preserve', index }) });
  compileOomScore(draft, full);
  compileStdioOwner(draft, full, config.linux);
  compileTasks(draft, cgroup);
  draft.add({
    op: 'enter',
    pidfd: draft.fd({ kind: 'pidfd' }),
    flags: namespaces.flags,
    cgroup: cgroupSlot(draft, cgroup),
  });
  draft.add({ op: 'setsid' }, { op: 'pdeathsig', signal: SIGKILL });
  if (full.terminal === true) compileTerminal(draft, full, false);
  if (options.id !== undefined) draft.add({ op: 'keyring', name: `_ses.${options.id}` });
  compileAttributes(draft, full, config, options.features ?? {});
  compileIdentity(draft, {
    process: full,
    rlimits: full.rlimits ?? [],
    filter: seccompOf(config),
    seccomp: options.seccomp,
    filterCapabilities: boundingMask(options.privileged === true ? process : own),
    noNewPrivileges: process.noNewPrivileges === true || own?.noNewPrivileges === true,
    init: false,
    beforeExec: () => undefined,
  });
  return draft.finish();
}
