import type { Healthcheck } from '../spec/image-config.ts';

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
