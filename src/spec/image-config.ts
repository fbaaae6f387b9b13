/** The config of an image (image-spec config.md; Docker's image.json). Its values are data: they are checked for form, never expanded, joined or executed here. */
import { invalid, parseObject, shown, type Fields } from './_document.ts';
import { isDigest, type DiffId } from './digest.ts';
import { MANIFEST_MAX_LAYERS } from './manifest.ts';
import { normalPlatform, type Platform } from './platform.ts';

/** The longest image config that is read: 8 MiB. */
export const IMAGE_CONFIG_MAX_BYTES = 8 * 1024 * 1024;
/** The highest user or group id an image may name. Above it, ids have been taken for negative numbers and for root (CVE-2024-40635). */
export const MAX_ID = 2 ** 31 - 1;

const MAX_ITEMS = 10_000;

export interface ImageConfig {
  readonly platform: Platform;
  readonly created?: string;
  readonly author?: string;
  /** What a container of this image starts with. */
  readonly process: ImageProcess;
  /** The uncompressed layers, base first. */
  readonly diffIds: readonly DiffId[];
  readonly history: readonly HistoryEntry[];
}

/** The `config` object: defaults for a container. Absent means the image does not say. */
export interface ImageProcess {
  readonly user?: ImageUser;
  /** `NAME=value`, in order; the spec leaves entries without `=` undefined and they are left out: they never take a value from the host (CVE-2026-57231). */
  readonly env: readonly string[];
  readonly entrypoint?: readonly string[];
  readonly cmd?: readonly string[];
  readonly workingDir?: string;
  /** Paths in the container, in order. */
  readonly volumes: readonly string[];
  /** `port[/protocol]`, in order. */
  readonly exposedPorts: readonly string[];
  readonly labels: Readonly<Record<string, string>>;
  /** A name (`SIGTERM`, `TERM`, `RTMIN+3`) or number, as written. */
  readonly stopSignal?: string;
  readonly stopTimeoutSeconds?: number;
  readonly healthcheck?: Healthcheck;
  readonly shell?: readonly string[];
  readonly onBuild: readonly string[];
}

/** `USER`: a name or number, and the group if stated. Names are resolved in the container's own files. */
export interface ImageUser {
  readonly user: string | number;
  readonly group?: string | number;
}

/** Docker's health check. Absent times and counts are the engine's defaults. */
export interface Healthcheck {
  /** `['NONE']`, `['CMD', ...argv]` or `['CMD-SHELL', script]`; empty: inherited. */
  readonly test: readonly string[];
  readonly intervalNs?: number;
  readonly timeoutNs?: number;
  readonly startPeriodNs?: number;
  readonly startIntervalNs?: number;
  readonly retries?: number;
}

/** How a layer came to be; `emptyLayer` entries have no layer. */
export interface HistoryEntry {
  readonly created?: string;
  readonly createdBy?: string;
  readonly author?: string;
  readonly comment?: string;
  readonly emptyLayer: boolean;
}

/** Errors: `invalid`, naming the field. */
export function parseImageConfig(bytes: Uint8Array, what = 'image config'): ImageConfig {
  const fields = parseObject(bytes, what, IMAGE_CONFIG_MAX_BYTES);
  const rootfs = fields.object('rootfs') ?? fields.fail('rootfs', 'is missing');
  if ((rootfs.string('type') ?? 'layers') !== 'layers') rootfs.fail('type', 'is not layers');
  const diffIds = (rootfs.strings('diff_ids', MANIFEST_MAX_LAYERS) ?? []).map((id, index) => {
    if (!isDigest(id)) rootfs.fail(`diff_ids[${index}]`, 'is not a sha256, sha384 or sha512 digest');
    return id as string as DiffId;
  });
  return {
    platform: normalPlatform(fields.string('os') ?? '', fields.string('architecture') ?? '', fields.string('variant')),
    ...present({ created: fields.string('created'), author: fields.string('author') }),
    process: processOf(fields.object('config'), what),
    diffIds,
    history: (fields.objects('history', MAX_ITEMS) ?? []).map(historyOf),
  };
}

/** `USER[:GROUP]`. Undefined when empty. Errors: `invalid` for an id above MAX_ID, a NUL or a colon too many. */
export function parseImageUser(text: string, what = 'image config'): ImageUser | undefined {
  const parts = text.split(':');
  if (parts.length > 2 || text.includes('\0')) throw invalid(what, `user ${shown(text)} is not USER or USER:GROUP`);
  const [user = '', group = ''] = parts;
  if (user === '' && group === '') return undefined;
  return { user: user === '' ? 0 : idOf(user, what), ...(group === '' ? {} : { group: idOf(group, what) }) };
}

/** A text of digits is an id, anything else a name. */
function idOf(text: string, what: string): string | number {
  if (!/^[+-]?[0-9]+$/.test(text)) return text;
  const id = Number(text);
  if (/^[+-]/.test(text) || !Number.isSafeInteger(id) || id > MAX_ID) {
    throw invalid(what, `user or group id ${shown(text)} is not from 0 to ${MAX_ID}`);
  }
  return id;
}

function processOf(fields: Fields | undefined, what: string): ImageProcess {
  if (fields === undefined) return { env: [], volumes: [], exposedPorts: [], labels: {}, onBuild: [] };
  const health = fields.object('Healthcheck');
  const user = parseImageUser(fields.cString('User') ?? '', what);
  return {
    ...present({
      user,
      entrypoint: words(fields, 'Entrypoint'),
      cmd: words(fields, 'Cmd'),
      shell: words(fields, 'Shell'),
      workingDir: fields.cString('WorkingDir') || undefined,
      stopSignal: stopSignalOf(fields),
      stopTimeoutSeconds: fields.integer('StopTimeout', -1, MAX_ID),
      healthcheck: health && healthcheckOf(health),
    }),
    env: (fields.strings('Env', MAX_ITEMS) ?? []).filter((entry) => entry.indexOf('=') > 0),
    volumes: setOf(fields, 'Volumes'),
    exposedPorts: setOf(fields, 'ExposedPorts'),
    labels: fields.stringMap('Labels') ?? {},
    onBuild: fields.strings('OnBuild', MAX_ITEMS) ?? [],
  };
}

/** An array of words; Docker also takes one string for a list of one. */
function words(fields: Fields, key: string): readonly string[] | undefined {
  if (!fields.isString(key)) return fields.strings(key, MAX_ITEMS);
  const single = fields.cString(key);
  return single === undefined ? undefined : [single];
}

/** The keys of an object that stands for a set. */
function setOf(fields: Fields, key: string): readonly string[] {
  const keys = fields.object(key)?.keys() ?? [];
  if (keys.length > MAX_ITEMS) fields.fail(key, `has more than ${MAX_ITEMS} entries`);
  if (keys.some((name) => name.includes('\0'))) fields.fail(key, 'has a NUL character');
  return keys;
}

function stopSignalOf(fields: Fields): string | undefined {
  const signal = fields.string('StopSignal') || undefined;
  if (signal !== undefined && !/^(?:[0-9]{1,2}|[A-Za-z][A-Za-z0-9]{1,15}(?:[+-][0-9]{1,2})?)$/.test(signal)) {
    fields.fail('StopSignal', `is ${shown(signal)}, which is not a signal`);
  }
  return signal;
}

function healthcheckOf(fields: Fields): Healthcheck {
  const ns = (key: string): number | undefined => fields.integer(key, 0, Number.MAX_SAFE_INTEGER);
  return {
    test: fields.strings('Test', MAX_ITEMS) ?? [],
    ...present({
      intervalNs: ns('Interval'),
      timeoutNs: ns('Timeout'),
      startPeriodNs: ns('StartPeriod'),
      startIntervalNs: ns('StartInterval'),
      retries: fields.integer('Retries', 0, MAX_ID),
    }),
  };
}

function historyOf(fields: Fields): HistoryEntry {
  return {
    ...present({
      created: fields.string('created'),
      createdBy: fields.string('created_by'),
      author: fields.string('author'),
      comment: fields.string('comment'),
    }),
    emptyLayer: fields.boolean('empty_layer') ?? false,
  };
}

type Present<T> = { [K in keyof T]?: Exclude<T[K], undefined> };

/** The same object without its undefined fields. */
function present<T extends object>(object: T): Present<T> {
  return Object.fromEntries(Object.entries(object).filter(([, value]) => value !== undefined)) as Present<T>;
}
