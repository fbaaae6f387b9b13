import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { TareError } from '../../base/errors.ts';
import type { LinuxResources } from '../../spec/runtime-config.ts';
import type { Engine } from '../engine.ts';
import { holderOf, idsBeginningWith, isName, isSandbox } from '../names.ts';
import { type ContainerRecord, containerDir, readRecord } from '../record.ts';
import type { CreatePodOptions } from './create-pod.ts';

/** What the containers of a pod may have in common, in podman's words. */
export type SharedNamespace = 'cgroup' | 'ipc' | 'net' | 'pid' | 'uts';

/** What a pod does when the last of its containers has ended. */
export type ExitPolicy = 'continue' | 'stop';

/**
 * What makes a container's record that of a pod. The pod is its sandbox: id, name, labels, networks, phase, life lock and cgroup are those of one container, which runs nothing but holds the
 * namespaces (docs/decisions/0042-a-pod-is-its-sandbox.md).
 */
export interface SandboxRecord {
  readonly shares: readonly SharedNamespace[];
  /** False: nothing is shared, it never runs. */
  readonly infra: boolean;
  readonly exitPolicy: ExitPolicy;
  /** Above those of its containers; absent: each has its own place. */
  readonly cgroupPath?: string;
  /** Limits of that. */
  readonly resources: LinuxResources;
  readonly created: CreatePodOptions;
}

/** What a container's record says of its pod. */
export interface PodMembership {
  readonly id: string;
  readonly name: string;
  readonly shares: readonly SharedNamespace[];
  readonly cgroupPath?: string;
  /** Its end may be the pod's. */
  readonly stops?: true;
  /** It runs to its end before the others start: each time, or once, and is removed then. */
  readonly init?: InitKind;
}

export type InitKind = 'always' | 'once';

/** The record of a pod. */
export type PodRecord = ContainerRecord & { readonly sandbox: SandboxRecord };

/** Finds a pod by name, id or unique beginning of its id. Errors: not-found; invalid when a beginning fits several. */
export function resolvePod(engine: Engine, nameOrId: string): string {
  const named = isName(nameOrId) ? holderOf(engine, nameOrId) : undefined;
  if (named !== undefined && isSandbox(engine, named)) return named;
  const ids = idsBeginningWith(engine, nameOrId).filter((id) => isSandbox(engine, id));
  if (ids.length > 1)
    throw new TareError('invalid', `Cannot choose pod ${nameOrId}: ${ids.length} ids of pods begin with it`);
  if (ids[0] !== undefined) return ids[0];
  const isContainer = named !== undefined && existsSync(join(engine.containersDir, named));
  throw new TareError('not-found', `Cannot find pod ${nameOrId}: ${isContainer ? 'it is a container' : 'no such pod'}`);
}

/** Reads the record of a pod, by id. Errors: not-found. */
export function readPod(engine: Engine, id: string): PodRecord {
  const record = readRecord(engine, id);
  if (record.sandbox === undefined) throw new TareError('not-found', `Cannot find pod ${id.slice(0, 12)}: no such pod`);
  return { ...record, sandbox: record.sandbox };
}

/** The directory of a pod: that of its sandbox. */
export const podDir = containerDir;
