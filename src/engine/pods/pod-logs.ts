import { TareError } from '../../base/errors.ts';
import type { Engine } from '../engine.ts';
import type { ContainerSummary } from '../list.ts';
import { type LogOptions, type LogRecord, readLogs } from '../logs.ts';
import { podMembers } from './act-on-pod.ts';

/** One record of the output of a pod's containers. */
export interface PodLogRecord extends LogRecord {
  readonly containerId: string;
  readonly containerName: string;
}

interface Next {
  readonly index: number;
  readonly result: IteratorResult<LogRecord>;
}

/**
 * Reads the logs of a pod's containers as one: by time, with `follow` as they come. `only`: the name or id of one of them. Errors: not-found; invalid; as `readLogs`.
 */
export async function* readPodLogs(
  engine: Engine,
  nameOrId: string,
  options: LogOptions & { readonly only?: string } = {},
): AsyncGenerator<PodLogRecord> {
  const { only, ...how } = options;
  const { members } = await podMembers(engine, nameOrId);
  const chosen = only === undefined ? members : [memberNamed(members, only, nameOrId)];
  const logs = chosen.map(({ id }) => readLogs(engine, id, how));
  const take = async (index: number): Promise<Next> => ({
    index,
    result: (await logs[index]?.next()) ?? { done: true, value: undefined },
  });
  const waiting = new Map(logs.map((_, index) => [index, take(index)]));
  try {
    while (waiting.size > 0) {
      const { index, result } = options.follow === true ? await Promise.race(waiting.values()) : await oldest(waiting);
      const container = chosen[index];
      if (result.done === true || container === undefined) {
        waiting.delete(index);
        continue;
      }
      waiting.set(index, take(index));
      yield { ...result.value, containerId: container.id, containerName: container.name };
    }
  } finally {
    await Promise.all(logs.map((log) => log.return(undefined)));
  }
}

/** A name wins over the beginning of an id. */
function memberNamed(members: readonly ContainerSummary[], wanted: string, pod: string): ContainerSummary {
  const named = members.find(({ name }) => name === wanted);
  const found = named === undefined ? members.filter(({ id }) => id.startsWith(wanted)) : [named];
  if (found.length === 1 && found[0] !== undefined && wanted !== '') return found[0];
  throw new TareError(
    found.length > 1 ? 'invalid' : 'not-found',
    `Cannot find container ${wanted} in pod ${pod}: ${found.length > 1 ? `${found.length} ids begin with it` : 'no such container'}`,
  );
}

/** What has ended comes first: it is not waited for again. */
async function oldest(waiting: ReadonlyMap<number, Promise<Next>>): Promise<Next> {
  const all = await Promise.all(waiting.values());
  return all.reduce((first, next) => (timeOf(next) < timeOf(first) ? next : first));
}

const timeOf = ({ result }: Next): string => (result.done === true ? '' : result.value.time);
