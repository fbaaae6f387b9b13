import assert from 'node:assert/strict';
import { openSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { Fd } from '../sys/fd.ts';
import { bindPort, listenOn } from '../sys/inet.ts';
import { connectUnix, sendFds, socketpair } from '../sys/socket.ts';
import { canNet, Ground } from './_ground.suite.ts';
import { Keeper } from './keeper.ts';
import { reachKeeper } from './reach-keeper.ts';

const socketOf = ({ places }: Ground): string => join(places.run, 'keeper');

/** A keeper without a way out, and a listening socket of the machine's. */
async function kept(ground: Ground): Promise<Keeper> {
  const reached = await reachKeeper({ places: ground.places, monitorOf: () => undefined, pasta: undefined }, 'join');
  assert.match(reached?.warnings.join() ?? '', /pasta is not installed/);
  if (reached === undefined) throw new Error('there is no keeper');
  return reached.keeper;
}

function listening(ground: Ground, port: number): Fd {
  const socket = bindPort('tcp', Uint8Array.of(0, 0, 0, 0), port, ground.machine, true);
  listenOn(socket);
  return socket;
}

const target = { protocol: 'tcp', hostPort: 8080, address: '127.0.0.1', port: 80 } as const;

test(
  'keeper: it forwards as long as the connection is open somewhere, and ends when nobody is connected',
  canNet,
  async () => {
    using ground = new Ground();
    {
      using keeper = await kept(ground);
      await ground.serve(keeper.netns);
      {
        using another = Keeper.connect(socketOf(ground));
        assert.ok(another);
        {
          using socket = listening(ground, 8080);
          another.forward(target, socket, false);
        }
        assert.equal(ground.ask(ground.machine, '127.0.0.1', 8080), '127.0.0.1');
        assert.throws(() => bindPort('tcp', Uint8Array.of(0, 0, 0, 0), 8080, ground.machine, true), {
          code: 'EADDRINUSE',
        });
      }
      await sleep(50);
      assert.equal(ground.ask(ground.machine, '127.0.0.1', 8080), 'no: ConnectionRefusedError');
      // It is there as long as we are, however long that is.
      await sleep(3_500);
      using same = Keeper.connect(socketOf(ground));
      assert.ok(same);
    }
    for (const end = performance.now() + 10_000; ; await sleep(100)) {
      using left = Keeper.connect(socketOf(ground));
      if (left === undefined) break;
      assert.ok(performance.now() < end, 'it has ended');
      left[Symbol.dispose]();
      await sleep(4_000);
    }
  },
);

test('keeper: whatever it is sent, it answers others', canNet, async () => {
  using ground = new Ground();
  using keeper = await kept(ground);
  await ground.serve(keeper.netns);
  let seed = 7;
  const random = (below: number): number => {
    seed = (Math.imul(seed, 1_103_515_245) + 12_345) >>> 0;
    return (seed >>> 8) % below;
  };
  const open: Disposable[] = [];
  for (let round = 0; round < 600; round++) {
    using stack = new DisposableStack();
    const connection = stack.use(connectUnix(socketOf(ground)));
    const [one, other] = socketpair();
    stack.use(other);
    const given = [one, stack.use(listening(ground, 20_000 + round)), keeper.netns][random(3)] ?? one;
    stack.use(one);
    try {
      for (let times = random(6); times >= 0; times--) {
        const bytes = Buffer.from(Array.from({ length: 1 + random(60) }, () => random(256)));
        // Mostly something that begins like a request.
        if (random(4) > 0) bytes[0] = random(6);
        if (random(2) > 0 && bytes.length > 2) bytes[2] = random(2) > 0 ? 4 : 6;
        sendFds(connection, bytes, random(3) > 0 ? [given] : []);
      }
    } catch (error) {
      // It has hung up.
      assert.match(String((error as { code?: string }).code), /EPIPE|ECONNRESET/);
    }
    if (random(8) === 0) open.push(stack.move());
  }
  using another = Keeper.connect(socketOf(ground));
  assert.ok(another);
  using socket = listening(ground, 8080);
  another.forward(target, socket, false);
  assert.throws(() => another.forward({ ...target, protocol: 'udp' }, socket, false), { code: 'EINVAL' });
  assert.throws(() => another.forward({ ...target, address: '::1' }, socket, false), { code: 'EINVAL' });
  using file = Fd.adopt(openSync('/proc/self/status', 'r'));
  assert.throws(() => another.endWith(file), { code: 'EPERM' });
  assert.equal(ground.ask(ground.machine, '127.0.0.1', 8080), '127.0.0.1');
  for (const one of open) one[Symbol.dispose]();
});
