import type { HealthSettings, MonitorSettings } from '../runtime/compile/mod.ts';
import { actorMembers, containerActor } from './emit.ts';
import { DEFAULT_HEALTH, checksHealth, healthArgv } from './health-options.ts';
import { JOURNAL_SOCKET, journalFields } from './journal.ts';
import type { ContainerRecord } from './record.ts';

/** The monitor's part of supervision, as its Plan says it: what a container does when nobody of us is there. */
export function superviseSettings(
  record: ContainerRecord,
): Pick<MonitorSettings, 'events' | 'restart' | 'health' | 'limitMs' | 'journal'> {
  const policy = record.restart?.policy ?? 'no';
  const health = healthSettings(record);
  return {
    events: actorMembers(containerActor(record)),
    ...(policy === 'no'
      ? health?.onFailure === 'restart'
        ? { restart: { policy: 'never', max: 0 } }
        : {}
      : {
          restart: {
            policy: policy === 'unless-stopped' ? 'always' : policy,
            max: record.restart?.maxRetries ?? 0,
          },
        }),
    ...(health === undefined ? {} : { health }),
    ...(record.timeoutMs === undefined ? {} : { limitMs: record.timeoutMs }),
    ...(record.logDriver === 'journald' ? { journal: { socket: JOURNAL_SOCKET, fields: journalFields(record) } } : {}),
  };
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
