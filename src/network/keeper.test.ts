import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Fd } from '../sys/fd.ts';
import { bindPort, listenOn } from '../sys/inet.ts';
import { connectUnix, sendFds, socketpair } from '../sys/socket.ts';
import { canNet, Ground } from './_ground.suite.ts';
import { Keeper } from './keeper.ts';
import { reachKeeper } from './reach-keeper.ts';

const socketOf = ({ places }: Ground): string => join(places.run, 'keeper');
const everywhere = Uint8Array.of(0, 0, 0, 0);

/** A keeper without a way out. */
async function kept(ground: Ground): Promise<Keeper> {
  const program = process.env['TARE_TEST_KEEPER'];
  const reached = await reachKeeper(
    {
      places: ground.places,
      monitorOf: () => undefined,
      pasta: undefined,
      ...(program === undefined ? {} : { program }),
    },
    'join',
  );
  assert.match(reached?.warnings.join() ?? '', /pasta is not installed/);
  if (reached === undefined) throw new Error('there is no keeper');
  return reached.keeper;
}

/** Waits until there is none. To look is to be connected for a moment, after which it stays for a while. */
async function ended(ground: Ground): Promise<void> {
  for (let tries = 0; tries < 3; tries++) {
    await sleep(4_000);
    using left = Keeper.connect(socketOf(ground));
    if (left === undefined) return;
  }
  throw new Error('the keeper does not end');
}

/** A listening socket of the machine's. */
function listening(ground: Ground, port: number): Fd {
  const socket = bindPort('tcp', everywhere, port, ground.machine, true);
  listenOn(socket);
  return socket;
}

const target = { protocol: 'tcp', hostPort: 8080, address: '127.0.0.1', port: 80 } as const;

test(
  'keeper: it forwards while the connection is open somewhere, and ends when nobody is connected',
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
        {
          using socket = bindPort('udp', everywhere, 8053, ground.machine, false);
          another.forward({ ...target, protocol: 'udp', port: 53 }, socket, false);
        }
        for (let times = 0; times < 5; times++) {
          assert.equal(ground.ask(ground.machine, '127.0.0.1', 8080), '127.0.0.1');
          assert.equal(ground.ask(ground.outside, '192.0.2.2', 8053, 'udp'), '127.0.0.1');
        }
        assert.throws(() => bindPort('tcp', everywhere, 8080, ground.machine, true), { code: 'EADDRINUSE' });
      }
      await sleep(50);
      assert.equal(ground.ask(ground.machine, '127.0.0.1', 8080), 'no: ConnectionRefusedError');
      // It is there as long as we are, however long that is.
      await sleep(3_500);
      using same = Keeper.connect(socketOf(ground));
      assert.ok(same);
    }
    await ended(ground);
  },
);

test('keeper: whatever it is sent, it answers others, and ends', canNet, async () => {
  using ground = new Ground();
  await sendNonsense(ground);
  await ended(ground);
});

async function sendNonsense(ground: Ground): Promise<void> {
  using keeper = await kept(ground);
  await ground.serve(keeper.netns);
  let seed = 7;
  const random = (below: number): number => {
    seed = (Math.imul(seed, 1_103_515_245) + 12_345) >>> 0;
    return (seed >>> 8) % below;
  };
  using open = new DisposableStack();
  for (let round = 0; round < 600; round++) {
    using stack = new DisposableStack();
    const connection = stack.use(connectUnix(socketOf(ground)));
    const [one, other] = socketpair();
    stack.use(one);
    stack.use(other);
    const given = [one, stack.use(listening(ground, 20_000 + round)), keeper.netns][random(3)] ?? one;
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
    if (random(8) === 0) open.use(stack.move());
  }
  using another = Keeper.connect(socketOf(ground));
  assert.ok(another);
  using socket = listening(ground, 8080);
  another.forward(target, socket, false);
  assert.throws(() => another.forward({ ...target, protocol: 'udp' }, socket, false), { code: 'EINVAL' });
  assert.throws(() => another.forward({ ...target, address: '::1' }, socket, false), { code: 'EINVAL' });
  assert.throws(() => another.endWith(socket), { code: 'EINVAL' });
  assert.equal(ground.ask(ground.machine, '127.0.0.1', 8080), '127.0.0.1');
}
