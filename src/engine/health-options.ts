import { TareError } from '../base/errors.ts';
import type { Healthcheck } from '../spec/image-config.ts';

/** Docker's, for what nobody says. */
export const DEFAULT_HEALTH = { intervalMs: 30_000, timeoutMs: 30_000, startIntervalMs: 5000, retries: 3 } as const;

/** What `create` and `run` say about a health check; the rest is the image's. */
export interface HealthOptions {
  /** `['CMD', ...argv]`, `['CMD-SHELL', script]`; `['NONE']`: no check, whatever the image says. */
  readonly test?: readonly string[];
  /** 0: never by itself, only by `checkHealth`. */
  readonly intervalMs?: number;
  /** A check that takes longer is killed and has failed. */
  readonly timeoutMs?: number;
  /** So long after its start failures do not count, unless it was healthy once. */
  readonly startPeriodMs?: number;
  /** The interval within the start period. */
  readonly startIntervalMs?: number;
  /** So many failures in a row make it unhealthy. */
  readonly retries?: number;
  /** What the monitor does about an unhealthy container; default none. */
  readonly onFailure?: 'none' | 'kill' | 'restart' | 'stop';
}

/** Whether there is anything to run. */
export function checksHealth(check: Healthcheck): boolean {
  return check.test.length > 1;
}

/** The command line of a test. */
export function healthArgv(test: readonly string[]): readonly string[] {
  return test[0] === 'CMD-SHELL' ? ['/bin/sh', '-c', test.slice(1).join(' ')] : test.slice(1);
}

/** The check of a container: the image's, changed by the options. Errors: invalid for options without anything to check. */
export function mergeHealth(image: Healthcheck | undefined, options: HealthOptions = {}): Healthcheck | undefined {
  const { test, intervalMs, timeoutMs, startPeriodMs, startIntervalMs, retries, onFailure = 'none' } = options;
  const own = { intervalMs, timeoutMs, startPeriodMs, startIntervalMs, retries };
  const merged = test ?? image?.test ?? [];
  if (test !== undefined && !['NONE', 'CMD', 'CMD-SHELL'].includes(test[0] ?? ''))
    throw new TareError('invalid', 'Cannot check health: a test begins with CMD, CMD-SHELL or NONE');
  const none = merged[0] === 'NONE' || merged.length < 2;
  const given = Object.values(own).some((value) => value !== undefined) || onFailure !== 'none';
  if (none && given)
    throw new TareError('invalid', 'Cannot check health: there is no command to check it with (see --health-cmd)');
  for (const value of Object.values(own))
    if (value !== undefined && !(value >= 0))
      throw new TareError('invalid', `Cannot check health: ${value} is no time`);
  if (timeoutMs !== undefined && timeoutMs < 1)
    throw new TareError('invalid', 'Cannot check health: the timeout has to be at least a millisecond');
  if (none) return test === undefined ? image : { test: ['NONE'] };
  const ns = (ms: number | undefined): number | undefined => (ms === undefined ? undefined : ms * 1e6);
  // 0 is "not said" in an image.
  const said = (value: number | undefined): number | undefined => (value === 0 ? undefined : value);
  return definite({
    test: merged,
    intervalNs: said(ns(intervalMs)) ?? said(image?.intervalNs),
    timeoutNs: ns(timeoutMs) ?? said(image?.timeoutNs),
    startPeriodNs: ns(startPeriodMs) ?? image?.startPeriodNs,
    startIntervalNs: said(ns(startIntervalMs)) ?? said(image?.startIntervalNs),
    retries: said(retries) ?? said(image?.retries),
  });
}

function definite(check: { [K in keyof Healthcheck]: Healthcheck[K] | undefined }): Healthcheck {
  return Object.fromEntries(Object.entries(check).filter(([, value]) => value !== undefined)) as unknown as Healthcheck;
}
