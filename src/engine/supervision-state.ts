import { readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import type { ContainerRecord } from './record.ts';
import { checksHealth } from './health-options.ts';

export type HealthStatus = 'starting' | 'healthy' | 'unhealthy';

/** One check. */
export interface HealthResult {
  /** RFC 3339. */
  readonly start: string;
  readonly end: string;
  /** 0: well; -1: it took too long. */
  readonly exitCode: number;
  /** The first 4 KiB of what it printed. */
  readonly output: string;
}

/** What the monitor found out. */
export interface HealthState {
  readonly status: HealthStatus;
  readonly failingStreak: number;
  /** The last five, oldest first. */
  readonly log: readonly HealthResult[];
}

/** How often a container started again by itself since somebody started it. */
export interface RestartState {
  readonly count: number;
  /** It has ended and waits for its next start; of no meaning where no monitor lives. */
  readonly waiting: boolean;
}

const RESTART_FILE = 'restarts';
/** The monitor's findings, in the container's directory. */
export const HEALTH_FILE = 'health';

/** Written by the monitor. None before the first restart. */
export function readRestart(dir: string): RestartState {
  const json = readJson(`${dir}/${RESTART_FILE}`);
  return { count: Number(json?.['count'] ?? 0), waiting: json?.['waiting'] === true };
}

/** Written by the monitor; undefined for a container without a check. */
export function readHealth(dir: string, record: Pick<ContainerRecord, 'healthcheck'>): HealthState | undefined {
  if (record.healthcheck === undefined || !checksHealth(record.healthcheck)) return undefined;
  const json = readJson(`${dir}/${HEALTH_FILE}`);
  if (json === undefined) return { status: 'starting', failingStreak: 0, log: [] };
  return {
    status: json['Status'] as HealthStatus,
    failingStreak: json['FailingStreak'] as number,
    log: (json['Log'] as Record<string, unknown>[]).map((entry) => ({
      start: entry['Start'] as string,
      end: entry['End'] as string,
      exitCode: entry['ExitCode'] as number,
      output: entry['Output'] as string,
    })),
  };
}

/** Before a start by hand: it counts from there. The caller holds the life lock. */
export function clearSupervision(dir: string): void {
  for (const name of [RESTART_FILE, HEALTH_FILE]) rmSync(join(dir, name), { force: true });
}

function readJson(path: string): Record<string, unknown> | undefined {
  try {
    return JSON.parse(readFileSync(path, 'utf8')) as Record<string, unknown>;
  } catch {
    return undefined;
  }
}
