import type { Engine } from '../engine.ts';
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
 * Reads the logs of a pod's containers as one: by time, with `follow` as they come. `only`: the name or id of one of them. Errors: not-found; as `readLogs`.
 */
export async function* readPodLogs(
  engine: Engine,
  nameOrId: string,
  options: LogOptions & { readonly only?: string } = {},
): AsyncGenerator<PodLogRecord> {
  const { only, ...how } = options;
  const { members } = await podMembers(engine, nameOrId);
  const chosen = members.filter(
    ({ id, name }) => only === undefined || name === only || (only !== '' && id.startsWith(only)),
  );
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

/** What has ended comes first: it is not waited for again. */
async function oldest(waiting: ReadonlyMap<number, Promise<Next>>): Promise<Next> {
  const all = await Promise.all(waiting.values());
  return all.reduce((first, next) => (timeOf(next) < timeOf(first) ? next : first));
}

const timeOf = ({ result }: Next): string => (result.done === true ? '' : result.value.time);
