import type { Engine } from '../engine.ts';
import { collectedContainers, type ContainerState, type ContainerSummary, listContainers, summarize } from '../list.ts';
import { shortId } from '../ids.ts';
import { reconcile } from '../reconcile.ts';
import { memberIds } from './members.ts';
import { type ExitPolicy, readPod, type SharedNamespace } from './pod.ts';
import { findRecord } from '../record.ts';

/** Podman's words for what a pod is. */
export type PodState = 'Created' | 'Running' | 'Degraded' | 'Paused' | 'Exited' | 'Stopped' | 'Error';

/** A container of a pod. */
export interface PodContainer {
  readonly id: string;
  readonly name: string;
  readonly state: ContainerState;
}

/** One line of `pod ps`. */
export interface PodSummary {
  readonly id: string;
  readonly name: string;
  readonly state: PodState;
  readonly createdAt: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly shares: readonly SharedNamespace[];
  readonly exitPolicy: ExitPolicy;
  /** Its sandbox, which has the pod's id; absent in a pod that shares nothing. */
  readonly infraId?: string;
  /** Above its containers' cgroups; absent where it has none of its own. */
  readonly cgroupPath?: string;
  /** Names of the networks it is in when it runs. */
  readonly networks: readonly string[];
  /** Oldest first; its sandbox, where it has one, before all others. */
  readonly containers: readonly PodContainer[];
}

/** All pods, newest first, after what dead processes left was collected. */
export async function listPods(engine: Engine): Promise<PodSummary[]> {
  return podsOf(engine, await collectedContainers(engine, { sandboxes: true }));
}

/** All pods, newest first. Changes nothing. */
export function podsNow(engine: Engine): PodSummary[] {
  return podsOf(engine, listContainers(engine, { sandboxes: true }));
}

/** One pod, by id, after what dead processes left of it was collected; undefined: it is gone. */
export async function onePod(engine: Engine, id: string): Promise<PodSummary | undefined> {
  const members = memberIds(engine, id);
  for (const one of [id, ...members]) await reconcile(engine, one);
  const sandbox = summarize(engine, id);
  if (sandbox?.sandbox !== true) return undefined;
  const own = members.flatMap((one) => summarize(engine, one) ?? []);
  return summarizePod(
    engine,
    sandbox,
    own.sort((a, b) => (a.createdAt < b.createdAt ? -1 : 1)),
  );
}

function podsOf(engine: Engine, all: readonly ContainerSummary[]): PodSummary[] {
  return all.flatMap((sandbox) => {
    if (sandbox.sandbox !== true || findRecord(engine, sandbox.id) === undefined) return [];
    const members = all.filter(({ pod }) => pod?.id === sandbox.id).toReversed();
    return [summarizePod(engine, sandbox, members)];
  });
}

function summarizePod(engine: Engine, own: ContainerSummary, members: readonly ContainerSummary[]): PodSummary {
  const { shares, exitPolicy, infra, cgroupPath } = readPod(engine, own.id).sandbox;
  const containers = [
    ...(infra ? [{ id: own.id, name: infraName(own.id), state: own.state }] : []),
    ...members.map(({ id, name, state }) => ({ id, name, state })),
  ];
  return {
    id: own.id,
    name: own.name,
    state: podState([...(infra ? [own] : []), ...members.filter(counts)].map(({ state }) => state)),
    createdAt: own.createdAt,
    labels: own.labels,
    shares,
    exitPolicy,
    ...(infra ? { infraId: own.id } : {}),
    ...(cgroupPath === undefined ? {} : { cgroupPath }),
    networks: own.networks ?? [],
    containers,
  };
}

/** An init container that has ended has done its part. */
function counts({ pod, state }: ContainerSummary): boolean {
  return pod?.init === undefined || state !== 'exited';
}

/** What podman calls the container that we do not need. */
export function infraName(pod: string): string {
  return `${shortId(pod)}-infra`;
}

/** As podman counts. */
export function podState(states: readonly ContainerState[]): PodState {
  const count = (...wanted: readonly ContainerState[]): number =>
    states.filter((state) => wanted.includes(state)).length;
  const running = count('running', 'restarting');
  const ended = count('exited');
  if (states.length === 0) return 'Created';
  if (running === states.length) return 'Running';
  if (running > 0) return 'Degraded';
  if (count('paused') === states.length) return 'Paused';
  if (ended === states.length) return 'Exited';
  if (ended > 0) return 'Stopped';
  return count('dead', 'removing') > 0 ? 'Error' : 'Created';
}
