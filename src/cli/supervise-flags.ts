import type { CreateOptions } from '../engine/create-options.ts';
import type { HealthOptions } from '../engine/health-options.ts';
import type { FlagTable, FlagValues } from './flag-table.ts';
import { UsageError } from './usage-error.ts';
import { durationMs, parseInteger } from './values.ts';

/** When a container is well, and what to do when it is not. */
export const healthFlags = {
  'health-cmd': {
    type: 'text',
    value: 'COMMAND',
    help: 'Shell command, or JSON list, that exits 0 while the container is well; none: no check',
  },
  'health-interval': {
    type: 'text',
    value: 'TIME',
    help: 'Time between checks (default 30s); disable: none by itself',
  },
  'health-timeout': { type: 'text', value: 'TIME', help: 'A check that takes longer has failed (default 30s)' },
  'health-retries': { type: 'integer', help: 'Failures in a row that make the container unhealthy (default 3)' },
  'health-start-period': { type: 'text', value: 'TIME', help: 'Failures so soon after the start do not count' },
  'health-start-interval': {
    type: 'text',
    value: 'TIME',
    help: 'Time between checks in the start period (default 5s)',
  },
  'health-on-failure': {
    type: 'text',
    choices: ['none', 'kill', 'restart', 'stop'],
    standard: 'none',
    help: 'What to do with an unhealthy container',
  },
  'no-healthcheck': { type: 'switch', help: "Do not run the image's health check" },
} as const satisfies FlagTable;

/** What the monitor does while nobody of us is there. */
export const superviseFlags = {
  restart: {
    type: 'text',
    value: 'POLICY',
    standard: 'no',
    help: 'When to start the container again after its end: no, on-failure[:N], always, unless-stopped',
  },
  timeout: { type: 'seconds', help: 'Kill the container so long after its start; 0: never' },
  ...healthFlags,
} as const satisfies FlagTable;

type Values = FlagValues<typeof healthFlags>;

/** The policy of `--restart`. Errors: UsageError. */
export function restartOf(text: string | undefined): CreateOptions['restart'] | undefined {
  if (text === undefined) return undefined;
  const [policy = '', count, ...more] = text.split(':');
  if (more.length === 0 && policy === 'on-failure') {
    if (count === undefined) return { policy };
    return { policy, maxRetries: parseInteger('--restart on-failure:', count, 1) };
  }
  if (count === undefined && (policy === 'always' || policy === 'unless-stopped' || policy === 'no')) return { policy };
  // Podman's and docker's other words for no.
  if (count === undefined && (policy === '' || policy === 'never')) return { policy: 'no' };
  throw new UsageError(`Cannot use --restart ${text}: expected no, on-failure[:N], always or unless-stopped`);
}

/** The health flags as the engine takes them; undefined when there is none. Errors: UsageError. */
export function healthOf(values: Values): HealthOptions | undefined {
  const command = values['health-cmd'];
  const none = values['no-healthcheck'] === true;
  const time = (name: keyof typeof healthFlags & `health-${string}`): number | undefined => {
    const text = values[name];
    if (text === undefined) return undefined;
    const ms = /^[0-9]+$/.test(String(text)) ? Number(text) * 1000 : durationMs(String(text));
    if (ms === undefined) throw new UsageError(`Cannot use --${name} ${text}: expected a time like 30s or 1m30s`);
    return ms;
  };
  const interval = values['health-interval'] === 'disable' ? 0 : time('health-interval');
  if (values['health-interval'] !== 'disable' && interval === 0)
    throw new UsageError('Cannot use --health-interval 0: expected a time like 30s, or disable');
  const onFailure = values['health-on-failure'] as HealthOptions['onFailure'];
  const all = {
    test: none ? ['NONE'] : command === undefined ? undefined : testOf(command),
    intervalMs: interval,
    timeoutMs: time('health-timeout'),
    startPeriodMs: time('health-start-period'),
    startIntervalMs: time('health-start-interval'),
    retries: values['health-retries'],
    onFailure,
  };
  const given = Object.fromEntries(Object.entries(all).filter(([, value]) => value !== undefined)) as HealthOptions;
  if (none && Object.keys(given).length > 1)
    throw new UsageError('Cannot use --no-healthcheck with other health flags: they say opposite things');
  return Object.keys(given).length === 0 ? undefined : given;
}

/** As docker: a shell's line; as podman: also a JSON list, which may begin with CMD or CMD-SHELL. */
function testOf(command: string): readonly string[] {
  if (command === 'none' || command === '') return ['NONE'];
  if (!command.startsWith('[')) return ['CMD-SHELL', command];
  let list: unknown;
  try {
    list = JSON.parse(command);
  } catch {
    return ['CMD-SHELL', command];
  }
  if (!Array.isArray(list) || list.length === 0 || !list.every((word) => typeof word === 'string'))
    throw new UsageError(`Cannot use --health-cmd ${command}: expected a command or a JSON list of strings`);
  return ['CMD', 'CMD-SHELL', 'NONE'].includes(list[0] as string) ? list : ['CMD', ...(list as string[])];
}
