import {
  type LifeState,
  isInPhase,
  phaseBefore,
  readExit,
  readLifeState,
  readPid,
  readStartedAt,
} from '../runtime/state.ts';
import { isPaused } from './cgroups.ts';
import type { Engine } from './engine.ts';
import { containerIds } from './names.ts';
import { anyMounts } from './count-mount.ts';
import { anyNetworks, holdsNetworks, lacksResolver, networkHolder } from './holds-networks.ts';
import { emptyTrash } from './delete.ts';
import type { PortWish } from '../network/attach.ts';
import { reconcile } from './reconcile.ts';
import { type ContainerRecord, type RestartPolicy, containerDir, findRecord } from './record.ts';
import { type HealthStatus, readHealth, readRestart } from './supervision-state.ts';

/** What people call the state of a container. `initialized`: everything is prepared, its first process waits for the start. `restarting`: it ended and waits for its next start. `dead`: its monitor died and nothing collected it yet. */
export type ContainerState =
  | 'created'
  | 'initialized'
  | 'running'
  | 'paused'
  | 'restarting'
  | 'exited'
  | 'removing'
  | 'dead';

/** One line of `ps`. */
export interface ContainerSummary {
  readonly id: string;
  readonly name: string;
  readonly image: string;
  /** Of a container that is of an image of the store. */
  readonly imageId?: string;
  readonly command: readonly string[];
  readonly createdAt: string;
  readonly startedAt?: string;
  readonly finishedAt?: string;
  readonly state: ContainerState;
  readonly exitCode?: number;
  readonly pid?: number;
  readonly labels: Readonly<Record<string, string>>;
  /** The pod it is in. */
  readonly pod?: { readonly id: string; readonly name: string; readonly init?: 'always' | 'once' };
  /** It is the sandbox of a pod. */
  readonly sandbox?: true;
  readonly network: string;
  /** Names of the networks it is in when it runs. */
  readonly networks?: readonly string[];
  readonly ports?: readonly PortWish[];
  /** What its health check found; absent when it has none that runs. */
  readonly health?: HealthStatus;
  readonly restartPolicy?: RestartPolicy['policy'];
}

/** Which containers a list is of. */
export interface ListOptions {
  /** Leave those out that were created or have ended. */
  readonly only?: 'live';
  /** Also the sandboxes of pods. */
  readonly sandboxes?: boolean;
}

/** All containers, newest first. A container that vanishes or is not yet complete is left out. Changes nothing. */
export function listContainers(engine: Engine, options: ListOptions = {}): ContainerSummary[] {
  return scan(engine, options).containers;
}

/**
 * All containers, newest first, after what dead processes left was collected. With `only: 'live'` those that were created or have ended are left out, for the price of a look at their
 * directory's names.
 */
export async function collectedContainers(engine: Engine, options: ListOptions = {}): Promise<ContainerSummary[]> {
  const { containers, dead, ended } = scan(engine, options);
  if (ended.length > 0 && anyMounts(engine)) {
    const mounted = new Set((await engine.store()).mountedContainers().map(({ id }) => id));
    for (const id of ended) if (mounted.has(id)) await reconcile(engine, id);
  }
  if (ended.length > 0 && anyNetworks(engine))
    for (const id of ended) if (holdsNetworks(engine, id)) await reconcile(engine, id);
  if (lacksResolver(engine)) await (await import('./network-names.ts')).reviveResolver(engine);
  emptyTrash(engine);
  if (dead.length === 0) return containers;
  for (const id of dead) await reconcile(engine, id);
  return scan(engine, options).containers;
}

interface Scan {
  readonly containers: ContainerSummary[];
  /** Left by dead processes. */
  readonly dead: readonly string[];
  /** Ended, or not started; `reconcile` leaves alone what somebody is still at. */
  readonly ended: readonly string[];
}

function scan(engine: Engine, { only, sandboxes }: ListOptions): Scan {
  const containers: ContainerSummary[] = [];
  const dead: string[] = [];
  const ended: string[] = [];
  for (const id of containerIds(engine)) {
    const dir = containerDir(engine, id);
    if (only !== undefined && (isInPhase(dir, 'exited') || isInPhase(dir, 'created'))) {
      ended.push(id);
      continue;
    }
    const life = readLifeState(dir);
    if (life === undefined || (!life.held && life.phase !== 'created' && life.phase !== 'exited')) dead.push(id);
    else if (!life.held) ended.push(id);
    const summary = summaryOf(engine, id, life);
    if (summary !== undefined && (summary.sandbox !== true || sandboxes === true)) containers.push(summary);
  }
  return { containers: containers.sort((a, b) => (a.createdAt < b.createdAt ? 1 : -1)), dead, ended };
}

/** The state of one container, or undefined when it is being created or gone. */
export function summarize(engine: Engine, id: string): ContainerSummary | undefined {
  return summaryOf(engine, id, readLifeState(containerDir(engine, id)));
}

function stateOf(dir: string, life: LifeState, record: ContainerRecord): ContainerState {
  if (life.phase === 'creating') return 'created';
  // Its monitor died: it is what the next command makes of it.
  if (life.phase === 'initialized' && !life.held) return phaseBefore(dir);
  if (life.phase !== 'running') return life.phase;
  if (!life.held) return 'dead';
  return isPaused(record) ? 'paused' : 'running';
}

/** Its processes exist: it runs, or stands still. */
export function isUp(container: Pick<ContainerSummary, 'state'>): boolean {
  return container.state === 'running' || container.state === 'paused';
}

/** It is up, or waits for its next start. */
export function isLive(container: Pick<ContainerSummary, 'state'>): boolean {
  return isUp(container) || container.state === 'restarting';
}

/** A monitor looks after it: it is live, or waits for its first start. */
export function isKept(container: Pick<ContainerSummary, 'state'>): boolean {
  return isLive(container) || container.state === 'initialized';
}

function summaryOf(engine: Engine, id: string, life: LifeState | undefined): ContainerSummary | undefined {
  if (life === undefined || life.phase === 'creating') return undefined;
  const dir = containerDir(engine, id);
  const record = findRecord(engine, id);
  if (record === undefined) return undefined;
  const lives = life.phase === 'running' && life.held;
  const waits = lives && startsAgain(record) && readRestart(dir).waiting;
  const state: ContainerState = waits ? 'restarting' : stateOf(dir, life, record);
  const exit = waits || state === 'exited' ? readExit(dir) : undefined;
  const pid = (lives && !waits) || state === 'initialized' ? readPid(dir) : undefined;
  const startedAt = lives && pid !== undefined ? readStartedAt(dir) : undefined;
  const health = lives && !waits ? readHealth(dir, record) : undefined;
  return {
    id,
    name: record.name,
    image: record.image,
    ...(record.source.kind === 'image' ? { imageId: record.source.imageId } : {}),
    command: record.command,
    createdAt: record.createdAt,
    ...(exit === undefined ? {} : { startedAt: exit.startedAt, finishedAt: exit.finishedAt, exitCode: exit.code }),
    ...(pid === undefined ? {} : { pid: pid.pid }),
    ...(startedAt === undefined ? {} : { startedAt }),
    state,
    labels: record.labels,
    ...(record.pod === undefined ? {} : { pod: memberOf(record.pod) }),
    ...(record.sandbox === undefined ? {} : { sandbox: true }),
    network: record.network,
    ...networksOf(networkHolder(record) === id ? record.net : findRecord(engine, networkHolder(record))?.net),
    ...(health === undefined ? {} : { health: health.status }),
    ...(record.restart === undefined ? {} : { restartPolicy: record.restart.policy }),
  };
}

function memberOf({ id, name, init }: NonNullable<ContainerRecord['pod']>): NonNullable<ContainerSummary['pod']> {
  return { id, name, ...(init === undefined ? {} : { init }) };
}

function networksOf(net: ContainerRecord['net']): Pick<ContainerSummary, 'networks' | 'ports'> {
  if (net === undefined || (net.join.length === 0 && net.pasta === undefined)) return {};
  const joined = net.join.map(({ network }) => network);
  return { ...(joined.length === 0 ? {} : { networks: joined }), ports: net.ports };
}

/** Whether its monitor may start it again. */
function startsAgain(record: ContainerRecord): boolean {
  return record.restart !== undefined || record.healthOnFailure === 'restart' || record.restartChanged === true;
}
