import { isKind } from '../../base/errors.ts';
import { readPhase } from '../../runtime/state.ts';
import type { Engine } from '../engine.ts';
import { holdIfFree } from '../hold-life.ts';
import { isKept, isLive, summarize } from '../list.ts';
import { type ContainerRecord, containerDir, findRecord } from '../record.ts';
import { isRestarting } from '../restarting.ts';
import { stopContainer } from '../stop.ts';
import { allOf } from './all-of.ts';
import { holdMembers, memberIds, tryHoldMembers } from './members.ts';

/**
 * Does what an end in a pod means for the others: without the sandbox its containers are stopped; with the exit policy `stop` the end of the last container is that of the sandbox. Idempotent. Unless it
 * `waits`, nothing is done while somebody starts a container there.
 */
export async function settlePod(
  engine: Engine,
  { pod, sandbox, id }: Pick<ContainerRecord, 'id' | 'pod' | 'sandbox'>,
  options: { readonly waits?: boolean } = {},
): Promise<void> {
  const podId = sandbox === undefined ? pod?.id : id;
  if (podId === undefined || (sandbox === undefined && pod?.stops !== true)) return;
  try {
    using lock = options.waits === true ? await holdMembers(engine, podId, 'write') : tryHoldMembers(engine, podId);
    if (lock === undefined) return;
    await settle(engine, podId, sandbox === undefined);
  } catch (error) {
    // Somebody removes it.
    if (!isKind(error, 'not-found')) throw error;
  }
}

async function settle(engine: Engine, pod: string, ended: boolean): Promise<void> {
  const members = memberIds(engine, pod);
  const live = members.filter((member) => {
    const summary = summarize(engine, member);
    return summary !== undefined && isKept(summary);
  });
  const record = findRecord(engine, pod);
  const sandbox = summarize(engine, pod);
  if (record?.sandbox === undefined || sandbox === undefined) return;
  if (isLive(sandbox)) {
    // One that is being restarted has not ended.
    const isOver = live.length === 0 && !members.some((member) => isRestarting(containerDir(engine, member)));
    if (ended && isOver) await stopContainer(engine, pod, {});
    return;
  }
  if (!record.sandbox.infra || live.length === 0) return;
  using life = holdIfEnded(containerDir(engine, pod));
  if (life === undefined) return;
  await allOf(live, (member) => stopContainer(engine, member, {}));
}

/** So that nobody starts it meanwhile. */
function holdIfEnded(dir: string): Disposable | undefined {
  const life = holdIfFree(dir, 'end pod');
  const phase = readPhase(dir);
  if (phase === 'created' || phase === 'exited') return life;
  life?.[Symbol.dispose]();
  return undefined;
}
