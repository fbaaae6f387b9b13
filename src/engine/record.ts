import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { TareError } from '../base/errors.ts';
import type { Healthcheck } from '../spec/image-config.ts';
import type { MountIds } from '../spec/mount.ts';
import type { RuntimeConfig } from '../spec/runtime-config.ts';
import { writeDurably } from '../base/durable-files.ts';
import type { EgressList } from '../network/egress.ts';
import type { JoinWish, PortWish } from '../network/attach.ts';
import type { CreateOptions, MountRequest } from './create-options.ts';
import type { Engine } from './engine.ts';
import type { SecretUse } from './secrets/use.ts';
import type { NameOptions } from './network-files.ts';
import type { PodMembership, SandboxRecord } from './pods/pod.ts';

/** Where a container's root file system comes from. */
export type Source =
  /** An image in the store. */
  | { readonly kind: 'image'; readonly reference: string; readonly imageId: string }
  /** The machine's own file system, or a folder of it, under a writable layer. */
  | { readonly kind: 'host'; readonly path: string; readonly secrets: boolean }
  /** A root file system directory; with `overlay` it is never written. */
  | { readonly kind: 'rootfs'; readonly path: string; readonly overlay: boolean }
  /** An OCI bundle: config.json and root.path. */
  | { readonly kind: 'bundle'; readonly path: string };

/** Where a container's output is kept: nowhere; in a CRI log file; in the journal; it has its creator's own streams. */
export type LogDriver = 'k8s-file' | 'journald' | 'none' | 'passthrough';

/** When a container that ended starts again. `unless-stopped` differs from `always` at boot alone. */
export interface RestartPolicy {
  readonly policy: 'no' | 'on-failure' | 'always' | 'unless-stopped';
  /** With on-failure; absent: any number. */
  readonly maxRetries?: number;
}

/** The user namespace of a container, and how the files of its source come to belong to its ids: seen through id-mapped mounts, copied, or not at all. */
export interface RecordedNamespace extends MountIds {
  /** As it was asked for. */
  readonly mode: string;
  readonly owners: 'mapped' | 'copied' | 'unchanged';
}

/** What a container has of networks when it runs. */
export interface RecordedNetwork {
  readonly join: readonly JoinWish[];
  readonly ports: readonly PortWish[];
  /** Whose network namespace it is in: a container's, by id, or the one at a path. */
  readonly of?: string;
  /** Options of its own pasta. */
  readonly pasta?: readonly string[];
  /** What it may reach; absent: whatever its networks lead to. */
  readonly egress?: EgressList;
}

/** A mount of the user's or the image's as it was made: volumes have their names, images their ids. */
export type RecordedMount =
  | Exclude<MountRequest, { type: 'volume' | 'image' }>
  | (Extract<MountRequest, { type: 'volume' }> & {
      readonly name: string;
      readonly anonymous?: true;
      /** It has no path on the machine: it is opened at each start (volumes/open-mounts.ts). */
      readonly opened?: true;
    })
  | (Extract<MountRequest, { type: 'image' }> & {
      readonly imageId: string;
      /** The container of the image store that keeps the image there, and has the layer for changes. */
      readonly layerOf: string;
    });

/** Its source is opened at each start. */
export function isOpenedAtStart(mount: RecordedMount): boolean {
  return mount.type === 'image' || (mount.type === 'volume' && mount.opened === true);
}

/** What Tare remembers of a container besides its OCI config. Written at creation, and replaced as a whole by a change (change.ts); state lives in the phase, the life lock and the exit record. */
export interface ContainerRecord {
  readonly version: 1;
  readonly id: string;
  readonly name: string;
  /** RFC 3339 with nanoseconds. */
  readonly createdAt: string;
  readonly source: Source;
  /** As given by the user, to display. */
  readonly image: string;
  /** The whole command line of the first process. */
  readonly command: readonly string[];
  readonly labels: Readonly<Record<string, string>>;
  readonly autoRemove: boolean;
  /** It runs once, from its creation on: its records are in memory, its layers and log in `scratchDir`. */
  readonly transient?: boolean;
  readonly terminal: boolean;
  readonly openStdin: boolean;
  readonly init: boolean;
  /** Its user namespace; absent where it has none of its own, and in records of older versions. */
  readonly userns?: RecordedNamespace;
  readonly network: 'none' | 'host' | 'private' | 'bridge' | 'container' | 'ns' | 'pasta';
  /** With the last four: what it has of networks. */
  readonly net?: RecordedNetwork;
  readonly names?: NameOptions;
  /** What the user and the image wanted mounted. Absent: nothing; in records of older versions `created` says it. */
  readonly mounts?: readonly RecordedMount[];
  readonly stopSignal: number;
  readonly stopTimeoutMs: number;
  /** Log file name inside the container directory; absent: not logged. */
  readonly log?: { readonly maxBytes: number; readonly maxFiles: number };
  readonly logDriver: LogDriver;
  /** Names its messages in the journal. */
  readonly logTag?: string;
  /** Absent: it does not start again. */
  readonly restart?: RestartPolicy;
  /** It was changed since: the file of the policy says what it is. */
  readonly restartChanged?: true;
  /** Killed so long after each start. */
  readonly timeoutMs?: number;
  readonly privileged: boolean;
  /** It is in a pod. */
  readonly pod?: PodMembership;
  /** It is no container of a user's: it holds what those of a pod share, and is the pod's record. */
  readonly sandbox?: SandboxRecord;
  /** Their values are read at each start. */
  readonly secrets?: readonly SecretUse[];
  /** Cgroup path, "/tare/ID". */
  readonly cgroupPath: string;
  /** How it was created, for another one like it; without credentials. Absent in records of older versions. */
  readonly created?: CreateOptions;
  /** The image's, changed by who created it. */
  readonly healthcheck?: Healthcheck;
  readonly healthOnFailure?: 'kill' | 'restart' | 'stop';
  /** It is checked only when somebody asks. */
  readonly healthInterval?: 'disabled';
}

/** Name of the log file in the container directory. */
export const LOG_NAME = 'ctr.log';

/** In the directory of a container that is being removed: its anonymous volumes go as well. */
export const VOLUMES_TOO = 'volumes-too';

/** The directory of a container. */
export function containerDir(engine: Engine, id: string): string {
  return `${engine.containersDir}/${id}`;
}

/** Where a container's writable layers and log are: they may be large, so always on the disk. */
export function diskDir(engine: Engine, container: Pick<ContainerRecord, 'id' | 'transient'>): string {
  return join(container.transient === true ? engine.scratchDir : engine.containersDir, container.id);
}

/**
 * The restart policy of a container whose policy was changed, one line: what its monitor knows it as, the number of restarts, and its name. Its monitor reads it at each end, everybody
 * else with the record: one rename(2) changes it for all.
 */
export const POLICY_NAME = 'policy';

/** Writes the record and the OCI config of a container in creation; durable unless it removes itself. */
export function writeRecord(dir: string, record: ContainerRecord, config: RuntimeConfig): void {
  for (const [name, value] of [
    ['config.json', config],
    ['container.json', record],
  ] as const) {
    const path = join(dir, name);
    // Until the phase changes nobody believes in the container, so a kill may leave half a file; one that removes itself need not survive more.
    if (record.autoRemove) writeFileSync(path, JSON.stringify(value), { mode: 0o600 });
    else writeDurably(path, JSON.stringify(value));
  }
}

/** Reads a container's record. Errors: not-found, unsupported (written by a newer Tare). */
export function readRecord(engine: Engine, id: string): ContainerRecord {
  const record = readJson<ContainerRecord>(`${containerDir(engine, id)}/container.json`, id);
  if (record.version !== 1) {
    throw new TareError(
      'unsupported',
      `Cannot read container ${id.slice(0, 12)}: its record has version ${String(record.version)}; use the Tare that wrote it`,
    );
  }
  return record.restartChanged === true ? withPolicy(record, containerDir(engine, id)) : record;
}

function withPolicy({ restart, ...rest }: ContainerRecord, dir: string): ContainerRecord {
  let line: string;
  try {
    line = readFileSync(join(dir, POLICY_NAME), 'utf8');
  } catch {
    // Who wanted to change it was killed first.
    return { ...rest, ...(restart === undefined ? {} : { restart }) };
  }
  const [, max, policy] = line.trim().split(' ');
  if (policy === 'no') return rest;
  return {
    ...rest,
    restart: { policy: policy as RestartPolicy['policy'], ...(max === '0' ? {} : { maxRetries: Number(max) }) },
  };
}

/** A container's record, or undefined where there is none that can be read: a creation that died early, a removal in progress. */
export function findRecord(engine: Engine, id: string): ContainerRecord | undefined {
  try {
    return readRecord(engine, id);
  } catch {
    return undefined;
  }
}

/** Reads a container's OCI config. Errors: not-found. */
export function readConfig(engine: Engine, id: string): RuntimeConfig {
  return readJson<RuntimeConfig>(`${containerDir(engine, id)}/config.json`, id);
}

function readJson<T>(path: string, id: string): T {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (cause) {
    throw new TareError(
      'not-found',
      `Cannot find container ${id.slice(0, 12)}: it has no record (removed meanwhile?)`,
      { cause },
    );
  }
  try {
    return JSON.parse(text) as T;
  } catch (cause) {
    throw new TareError('internal', `Cannot read ${path}: not JSON`, { cause });
  }
}
