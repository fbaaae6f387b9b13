import { encodePlan } from '../../sys/plan/encode.ts';
import { planConstants } from '../../sys/plan/schema.ts';
import type { Draft } from './draft.ts';
import { compileStdio } from './session-steps.ts';
import type { CompiledPlan, CompileOptions, HealthSettings } from './types.ts';

const policies = {
  never: planConstants.RESTART_NEVER,
  'on-failure': planConstants.RESTART_ON_FAILURE,
  always: planConstants.RESTART_ALWAYS,
} as const;

const actions = {
  none: planConstants.HEALTH_NOTHING,
  kill: planConstants.HEALTH_KILL,
  restart: planConstants.HEALTH_RESTART,
  stop: planConstants.HEALTH_STOP,
} as const;

const MAX_U32 = 0xffffffff;

/** The health check: a whole exec Plan, whose descriptors become ours. */
export function compileHealth(draft: Draft, health: HealthSettings, plan: CompiledPlan): void {
  const ms = (value: number): number => Math.min(value, MAX_U32);
  for (const source of plan.fds)
    draft.add({ op: 'healthFd', fd: draft.fd(source.kind === 'pidfd' ? undefined : source) });
  draft.add({
    op: 'health',
    intervalMs: ms(health.intervalMs),
    timeoutMs: ms(health.timeoutMs),
    startPeriodMs: ms(health.startPeriodMs),
    startIntervalMs: ms(health.startIntervalMs),
    retries: health.retries,
    action: actions[health.onFailure],
    plan: encodePlan(plan.ops, plan.fds.length),
  });
}

/** Everything the monitor does without being asked. */
export function compileMonitor(draft: Draft, options: CompileOptions): void {
  const { monitor, cgroup } = options;
  draft.add(
    {
      op: 'state',
      dir: draft.fd({ kind: 'state-dir' }),
      life: draft.fd({ kind: 'life' }),
      volatile: monitor.volatile ? 1 : 0,
    },
    { op: 'listen', dir: draft.fd({ kind: 'run-dir' }), name: monitor.listen },
    { op: 'title', text: monitor.title },
    { op: 'stop', signal: monitor.stop.signal, timeoutMs: monitor.stop.timeoutMs },
    { op: 'autostart', now: monitor.autostart ? 1 : 0 },
    { op: 'owner', lease: monitor.owner ? 1 : 0 },
    { op: 'rootfs', fd: draft.fd({ kind: 'rootfs' }) },
  );
  compileStdio(draft, monitor.stdio, monitor.stdin, monitor.once);
  if (monitor.log !== undefined) {
    const { name, maxBytes, maxFiles } = monitor.log;
    draft.add({ op: 'log', dir: draft.fd({ kind: 'log-dir' }), name, maxBytes, maxFiles: Math.max(1, maxFiles) });
  }
  if (monitor.journal !== undefined) draft.add({ op: 'journal', ...monitor.journal });
  if (monitor.events !== undefined)
    draft.add({ op: 'events', dir: draft.fd({ kind: 'events-dir' }), who: monitor.events });
  if (monitor.restart !== undefined)
    draft.add({
      op: 'restart',
      policy: policies[monitor.restart.policy],
      max: monitor.restart.max,
      count: monitor.restart.count ?? 0,
    });
  if (monitor.again !== undefined) draft.add({ op: 'again', argv: monitor.again.argv, env: monitor.again.env });
  for (let index = 0; index < (monitor.hold ?? 0); index++)
    draft.add({ op: 'hold', fd: draft.fd({ kind: 'hold', index }) });
  if (monitor.limitMs !== undefined) draft.add({ op: 'limit', ms: Math.min(monitor.limitMs, MAX_U32) });
  if (monitor.onExit !== undefined) draft.add({ op: 'onExit', argv: monitor.onExit.argv, env: monitor.onExit.env });
  if (cgroup.dirs.length > 0) {
    const root = draft.fd({ kind: 'cgroup-root' });
    draft.add({
      op: 'cgroup',
      root,
      dirs: cgroup.dirs,
      kill: cgroup.kill,
      procs: cgroup.procs,
      freezer: cgroup.freezer,
    });
    if (cgroup.oom !== undefined) draft.add({ op: 'oom', root, file: cgroup.oom.file, key: cgroup.oom.key });
  }
  const leave = monitor.leave ?? cgroup.leave;
  for (const path of typeof leave === 'string' ? [leave] : leave)
    draft.add({ op: 'leave', tasks: draft.fd({ kind: 'cgroup-file', path, write: true }) });
  for (let index = 0; index < (options.preserveFds ?? 0); index++)
    draft.add({ op: 'preserve', fd: draft.fd({ kind: 'preserve', index }) });
}
