import type { HealthSettings, MonitorSettings, RestartSettings } from '../runtime/compile/mod.ts';
import { actorMembers, containerActor } from './emit.ts';
import { DEFAULT_HEALTH, checksHealth, healthArgv } from './health-options.ts';
import { JOURNAL_SOCKET, journalFields } from './journal.ts';
import type { ContainerRecord, RestartPolicy } from './record.ts';

/** The monitor's part of supervision, as its Plan says it: what a container does when nobody of us is there. `restarts`: made already, this start included. */
export function superviseSettings(
  record: ContainerRecord,
  restarts = 0,
): Pick<MonitorSettings, 'events' | 'restart' | 'health' | 'limitMs' | 'journal'> {
  const health = healthSettings(record);
  const restart = restartSettings(record.restart);
  return {
    events: actorMembers(containerActor(record)),
    ...(restart.policy === 'never' && health?.onFailure !== 'restart' && restarts === 0
      ? {}
      : { restart: { ...restart, count: restarts } }),
    ...(health === undefined ? {} : { health }),
    ...(record.timeoutMs === undefined ? {} : { limitMs: record.timeoutMs }),
    ...(record.logDriver === 'journald' ? { journal: { socket: JOURNAL_SOCKET, fields: journalFields(record) } } : {}),
  };
}

/** A policy as a monitor knows it. */
export function restartSettings({ policy, maxRetries }: RestartPolicy = { policy: 'no' }): RestartSettings {
  const known = { no: 'never', 'unless-stopped': 'always', 'on-failure': 'on-failure', always: 'always' } as const;
  return { policy: known[policy], max: maxRetries ?? 0 };
}

function healthSettings(record: ContainerRecord): HealthSettings | undefined {
  const check = record.healthcheck;
  if (check === undefined || !checksHealth(check)) return undefined;
  const ms = (ns: number | undefined, standard: number): number => (ns === undefined ? standard : ns / 1e6);
  return {
    argv: healthArgv(check.test),
    intervalMs: record.healthInterval === 'disabled' ? 0 : ms(check.intervalNs, DEFAULT_HEALTH.intervalMs),
    timeoutMs: ms(check.timeoutNs, DEFAULT_HEALTH.timeoutMs),
    startPeriodMs: ms(check.startPeriodNs, 0),
    startIntervalMs: ms(check.startIntervalNs, DEFAULT_HEALTH.startIntervalMs),
    retries: check.retries ?? DEFAULT_HEALTH.retries,
    onFailure: record.healthOnFailure ?? 'none',
  };
}
