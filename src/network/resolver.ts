import { openSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { monotonicMs, sleep } from '../base/clock.ts';
import { TareError } from '../base/errors.ts';
import { ifPresent } from '../base/if-present.ts';
import { SysError } from '../sys/error.ts';
import { Fd } from '../sys/fd.ts';
import { isLocked, tryLock } from '../sys/lock.ts';
import { openDirectory } from '../sys/open.ts';
import { resolverPath, sealedProgram, spawnHelper } from '../sys/process.ts';
import { connectUnix, listenUnix, recvFds, sendFds, setReceiveTimeout } from '../sys/socket.ts';
import { logGroup } from './egress-rules.ts';
import { namesDir, type NetworkPlaces } from './network-places.ts';

/** A resolver that is leaving, or being restarted by its keeper, is asked again for so long. */
const PATIENCE_MS = 3_000;
/** One that lives answers in less than that. */
const ANSWER_MS = 1_000;
const ANSWER_BYTES = 4096;
/** The last byte of a whole answer. */
const END = '.';

const lifePath = (places: NetworkPlaces): string => join(namesDir(places), 'life');
const controlPath = (places: NetworkPlaces): string => join(namesDir(places), 'control');

/** Whether a resolver lives: its life is a lock that it holds. */
export function isServed(places: NetworkPlaces): boolean {
  const number = ifPresent(() => openSync(lifePath(places), 'r'));
  if (number === undefined) return false;
  using life = Fd.adopt(number);
  return isLocked(life);
}

/**
 * Tells the resolver that the table is another one, and starts it where none lives; the caller has the lock of the networks. When it returns, everybody is answered from that table. Returns the
 * bridges on which nobody can ask, and why.
 *
 * Errors: unavailable when it does not answer.
 */
export async function tellResolver(
  places: NetworkPlaces,
  patienceMs: number = PATIENCE_MS,
): Promise<ReadonlyMap<string, string>> {
  const end = monotonicMs() + patienceMs;
  for (;;) {
    startResolver(places);
    try {
      return readAnswer(places);
    } catch (cause) {
      if (monotonicMs() > end)
        throw new TareError('unavailable', 'Cannot resolve names: the resolver does not answer', { cause });
    }
    await sleep(2);
  }
}

/** Tells it, and does not wait. Without one there is nobody to be told. */
export function pokeResolver(places: NetworkPlaces): void {
  try {
    connectUnix(controlPath(places)).close();
  } catch {
    // It has ended, or does so now; whoever starts the next one gives it the table of then.
  }
}

/** One line for each bridge that cannot be asked on, `BRIDGE ERRNO`, and the end. Errors: by errno; deadline; unavailable when it ended meanwhile. */
function readAnswer(places: NetworkPlaces): ReadonlyMap<string, string> {
  using connection = connectUnix(controlPath(places));
  using events = eventsFile(places);
  sendFds(connection, Buffer.of(0), [events]);
  setReceiveTimeout(connection, ANSWER_MS);
  let answer = '';
  while (!answer.endsWith(END)) {
    const { bytes } = recvFds(connection, ANSWER_BYTES, 1);
    if (bytes.length === 0) throw new TareError('unavailable', 'Cannot read the answer of the resolver: it ended');
    answer += bytes.toString('latin1');
  }
  const lines = answer.slice(0, -END.length).split('\n').filter(Boolean);
  return new Map(
    lines.map((line) => {
      const [bridge = '', number = ''] = line.split(' ');
      return [bridge, new SysError('bind', Number(number)).message];
    }),
  );
}

function eventsFile(places: NetworkPlaces): Fd {
  try {
    return Fd.adopt(openSync(places.events?.() ?? '/dev/null', 'a', 0o600));
  } catch {
    // Told to nobody.
    return Fd.adopt(openSync('/dev/null', 'a'));
  }
}

/** Nothing happens while one lives. Its life begins here, and is its own as soon as it runs. */
function startResolver(places: NetworkPlaces): void {
  using life = Fd.adopt(openSync(lifePath(places), 'a+', 0o600));
  if (!tryLock(life, 'write')) return;
  rmSync(controlPath(places), { force: true });
  writeFileSync(join(namesDir(places), 'filter'), `${places.table} ${logGroup(places.table)}`);
  using control = listenUnix(controlPath(places));
  using dir = openDirectory(namesDir(places));
  using own = places.netns === undefined ? Fd.adopt(openSync('/proc/self/ns/net', 'r')) : undefined;
  using events = eventsFile(places);
  using program = sealedProgram(places.resolver ?? resolverPath());
  using stack = new DisposableStack();
  const cgroups = (places.cgroupFiles?.() ?? []).flatMap((path) => {
    try {
      return [stack.use(Fd.adopt(openSync(path, 'w')))];
    } catch {
      // It stays where its starter is.
      return [];
    }
  });
  spawnHelper('resolver', [life, dir, control, places.netns ?? own ?? 0, events, ...cgroups], { program });
}
