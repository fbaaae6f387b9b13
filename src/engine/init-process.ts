import { readPid } from '../runtime/state.ts';
import type { Fd } from '../sys/fd.ts';
import { pidfdOpen, startTime } from '../sys/process.ts';
import { type Engine } from './engine.ts';
import { containerDir } from './record.ts';

/** A container's first process by pidfd, proven to be it by its start time; undefined when it has ended. */
export function openInit(
  engine: Engine,
  id: string,
): ({ readonly fd: Fd; readonly pid: number } & Disposable) | undefined {
  const known = readPid(containerDir(engine, id));
  if (known === undefined) return undefined;
  let fd: Fd;
  try {
    fd = pidfdOpen(known.pid);
  } catch {
    return undefined;
  }
  if (String(startTime(known.pid)) === known.startTime)
    return { fd, pid: known.pid, [Symbol.dispose]: () => fd.close() };
  fd.close();
  return undefined;
}
