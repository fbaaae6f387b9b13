import type { Healthcheck } from '../spec/image-config.ts';
import type { HealthState } from './supervision-state.ts';

/** A health check as docker and podman print it: Go field names, durations in nanoseconds. */
export function healthcheckView(healthcheck: Healthcheck): object {
  return {
    Test: healthcheck.test,
    Interval: healthcheck.intervalNs,
    Timeout: healthcheck.timeoutNs,
    StartPeriod: healthcheck.startPeriodNs,
    StartInterval: healthcheck.startIntervalNs,
    Retries: healthcheck.retries,
  };
}

/** What the checks found, as docker prints it. */
export function healthView(health: HealthState): object {
  return {
    Status: health.status,
    FailingStreak: health.failingStreak,
    Log: health.log.map(({ start, end, exitCode, output }) => ({
      Start: start,
      End: end,
      ExitCode: exitCode,
      Output: output,
    })),
  };
}
