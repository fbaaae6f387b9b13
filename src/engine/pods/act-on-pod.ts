import { messageOf, TareError } from '../../base/errors.ts';
import { parseSignal } from '../../spec/signals.ts';
import { containerActor, emit } from '../emit.ts';
import type { Engine } from '../engine.ts';
import { type ContainerSummary, isKept, isLive, isUp, summarize } from '../list.ts';
import { pauseContainer, unpauseContainer } from '../pause.ts';
import { reconcile } from '../reconcile.ts';
import { containerDir } from '../record.ts';
import { beginRestart } from '../restarting.ts';
import { startAgain } from '../start-again.ts';
import { killContainer, stopContainer, type StopOptions } from '../stop.ts';
import { allOf, failuresOf } from './all-of.ts';
import { memberIds } from './members.ts';
import { type PodRecord, readPod, resolvePod } from './pod.ts';
import { runInitContainers } from './run-init-containers.ts';

/** A pod that was started, and what could not be as it was asked. */
export interface StartedPod {
  readonly id: string;
  readonly warnings: readonly string[];
}

/**
 * Starts a pod: its sandbox, the init containers one after the other, then all others; those that run are left alone.
 *
 * Errors: not-found; failed-precondition when some did not start, naming each, or an init container failed.
 */
export async function startPod(engine: Engine, nameOrId: string): Promise<StartedPod> {
  const { id, record, members } = await podMembers(engine, nameOrId);
  const warnings: string[] = [];
  const start = async (one: string): Promise<void> => {
    warnings.push(...(await startAgain(engine, one, { attach: false, stdin: false })).warnings);
  };
  if (record.sandbox.infra) await start(id);
  await runInitContainers(engine, id, start);
  const waiting = members.filter((member) => !isLive(member) && member.pod?.init === undefined);
  await forAll('start', record, waiting, (member) => start(member.id));
  return { id, warnings };
}

/** Stops the containers of a pod, then its sandbox. Each has its own grace period unless one is given. Returns the id. Errors: not-found; invalid signal; failed-precondition. */
export async function stopPod(
  engine: Engine,
  nameOrId: string,
  options: Pick<StopOptions, 'timeoutSeconds'> = {},
): Promise<string> {
  return stopAll(engine, nameOrId, { ...options, untilRemoved: true });
}

async function stopAll(engine: Engine, nameOrId: string, options: StopOptions): Promise<string> {
  const { id, record, members } = await podMembers(engine, nameOrId);
  await forAll('stop', record, members.filter(isKept), (member) => stopContainer(engine, member.id, options));
  await stopContainer(engine, id, {});
  return id;
}

/** Stops a pod and starts it again; containers that are to remove themselves when they have ended stay for it. Restarts of one pod at a time take turns. Errors: as of both. */
export async function restartPod(
  engine: Engine,
  nameOrId: string,
  options: Pick<StopOptions, 'timeoutSeconds'> = {},
): Promise<StartedPod> {
  const pod = resolvePod(engine, nameOrId);
  const held: string[] = [];
  try {
    using restarts = new DisposableStack();
    const hold = async (one: string): Promise<void> => {
      restarts.use(await beginRestart(containerDir(engine, one)));
      held.push(one);
    };
    // First the pod's: whoever waits for it has none of its containers'.
    await hold(pod);
    const { members } = await podMembers(engine, pod);
    await allOf(members.filter(isKept), (member) => hold(member.id));
    await stopAll(engine, pod, options);
    const started = await startPod(engine, pod);
    emit(engine, { ...containerActor(readPod(engine, pod)), action: 'restart' });
    return started;
  } finally {
    // What could not start again has ended for good.
    for (const one of held) await reconcile(engine, one);
  }
}

/** Sends a signal to the first process of each container that runs, and to the sandbox. Returns the id. Errors: not-found; invalid signal; failed-precondition when none runs. */
export async function killPod(engine: Engine, nameOrId: string, signal: string): Promise<string> {
  parseSignal(signal);
  const { id, record, members } = await podMembers(engine, nameOrId);
  const own = summarize(engine, id);
  const live = [...members, ...(own === undefined ? [] : [own])].filter(isUp);
  if (live.length === 0)
    throw new TareError('failed-precondition', `Cannot kill pod ${record.name}: none of its containers runs`);
  await forAll('kill', record, live, (member) => killContainer(engine, member.id, signal));
  return id;
}

/** Lets all containers of a pod stand still; those that do not run are left alone. Returns the id. Errors: not-found; failed-precondition. */
export async function pausePod(engine: Engine, nameOrId: string): Promise<string> {
  return onAll(engine, nameOrId, 'pause', 'running', (id) => pauseContainer(engine, id));
}

/** Lets those go on that stand still. Returns the id. Errors: not-found; failed-precondition. */
export async function unpausePod(engine: Engine, nameOrId: string): Promise<string> {
  return onAll(engine, nameOrId, 'unpause', 'paused', (id) => unpauseContainer(engine, id));
}

async function onAll(
  engine: Engine,
  nameOrId: string,
  what: 'pause' | 'unpause',
  wanted: ContainerSummary['state'],
  act: (id: string) => Promise<void>,
): Promise<string> {
  const { id, record, members } = await podMembers(engine, nameOrId);
  const own = summarize(engine, id);
  const found = [...members, ...(own === undefined ? [] : [own])].filter(({ state }) => state === wanted);
  await forAll(what, record, found, (member) => act(member.id));
  return id;
}

/** A pod, collected, and its containers, oldest first. Errors: not-found. */
export async function podMembers(
  engine: Engine,
  nameOrId: string,
): Promise<{ readonly id: string; readonly record: PodRecord; readonly members: readonly ContainerSummary[] }> {
  const id = resolvePod(engine, nameOrId);
  await reconcile(engine, id);
  for (const member of memberIds(engine, id)) await reconcile(engine, member);
  const record = readPod(engine, id);
  const members = memberIds(engine, id)
    .flatMap((member) => summarize(engine, member) ?? [])
    .toSorted((a, b) => (a.createdAt < b.createdAt ? -1 : 1));
  return { id, record, members };
}

/** All at once; what goes wrong with some does not keep the others. One that is gone meanwhile is fine. */
async function forAll(
  what: string,
  { name }: PodRecord,
  members: readonly ContainerSummary[],
  act: (member: ContainerSummary) => Promise<unknown>,
): Promise<void> {
  const failed = await failuresOf(members, act);
  const words = failed.map(({ one, reason }) => `${one.name}: ${messageOf(reason)}`);
  if (failed.length > 0)
    throw new TareError('failed-precondition', `Cannot ${what} all of pod ${name}: ${words.join('; ')}`);
}
