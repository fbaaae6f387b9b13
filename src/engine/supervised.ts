import { existsSync } from 'node:fs';
import { TareError } from '../base/errors.ts';
import type { Healthcheck } from '../spec/image-config.ts';
import type { CreateOptions } from './create-options.ts';
import { type HealthOptions, mergeHealth } from './health-options.ts';
import { JOURNAL_SOCKET } from './journal.ts';
import type { ContainerRecord, RestartPolicy } from './record.ts';

const MAX_RETRIES = 0xffffffff;
const policies: ReadonlySet<string> = new Set<RestartPolicy['policy']>([
  'no',
  'on-failure',
  'always',
  'unless-stopped',
]);

/** Refuses what cannot be had, before anything is made. Errors: invalid, unavailable. */
export function checkSupervised(options: CreateOptions, owned: boolean): void {
  const { restart, log, terminal, timeoutSeconds } = options;
  if (restart !== undefined && restart.policy !== 'no' && (options.autoRemove === true || owned))
    throw new TareError(
      'invalid',
      'Cannot create container: it cannot both start again (--restart) and be removed when it has ended (--rm)',
    );
  if (restart !== undefined) checkPolicy(restart, 'create');
  if (log?.driver === 'passthrough' && terminal === true)
    throw new TareError('invalid', 'Cannot create container: --log-driver passthrough hands on streams, so no --tty');
  if (log?.driver === 'journald' && !existsSync(JOURNAL_SOCKET))
    throw new TareError(
      'unavailable',
      `Cannot create container: journald does not run here (no ${JOURNAL_SOCKET}); use --log-driver k8s-file`,
    );
  if (timeoutSeconds !== undefined && !(timeoutSeconds >= 0))
    throw new TareError('invalid', `Cannot create container: --timeout ${timeoutSeconds} is no time`);
}

/** Refuses a policy that has no meaning. Errors: invalid. */
export function checkPolicy({ policy, maxRetries }: RestartPolicy, what: string): void {
  if (!policies.has(policy)) throw new TareError('invalid', `Cannot ${what} container: ${policy} is no restart policy`);
  if (maxRetries === undefined) return;
  if (policy !== 'on-failure')
    throw new TareError('invalid', `Cannot ${what} container: only on-failure counts restarts, not ${policy}`);
  if (!Number.isInteger(maxRetries) || maxRetries < 0 || maxRetries > MAX_RETRIES)
    throw new TareError('invalid', `Cannot ${what} container: ${maxRetries} is no number of restarts`);
}

/** What the record says of supervision. Errors: invalid health options. */
export function supervised(
  options: CreateOptions,
  image: Healthcheck | undefined,
): Pick<ContainerRecord, 'restart' | 'timeoutMs' | 'healthcheck' | 'healthOnFailure' | 'healthInterval' | 'logTag'> {
  const { restart, timeoutSeconds, health, log } = options;
  const healthcheck = mergeHealth(image, health);
  const { onFailure = 'none' } = health ?? {};
  return {
    ...(restart === undefined || restart.policy === 'no' ? {} : { restart }),
    ...(timeoutSeconds === undefined || timeoutSeconds === 0 ? {} : { timeoutMs: timeoutSeconds * 1000 }),
    ...healthMembers(healthcheck, onFailure, health?.intervalMs === 0),
    ...(log?.tag === undefined ? {} : { logTag: log.tag }),
  };
}

/** How a record has a health check. `isManual`: it is never run unasked. */
export function healthMembers(
  healthcheck: Healthcheck | undefined,
  onFailure: NonNullable<HealthOptions['onFailure']>,
  isManual: boolean,
): Pick<ContainerRecord, 'healthcheck' | 'healthOnFailure' | 'healthInterval'> {
  return {
    ...(healthcheck === undefined ? {} : { healthcheck }),
    ...(onFailure === 'none' ? {} : { healthOnFailure: onFailure }),
    ...(isManual ? { healthInterval: 'disabled' } : {}),
  };
}
