import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync, readlinkSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { attach, detach } from './attach.ts';
import { canNet, Ground } from './_ground.suite.ts';
import { renameAttached, reviveNames } from './names.ts';
import { createNetwork, findNetwork } from './networks.ts';
import { lockNetworks, namesDir, type NetworkPlaces } from './network-places.ts';
import { reloadNetworks } from './reload.ts';
import { isServed } from './resolver.ts';
import type { Fd } from '../sys/fd.ts';

const support = join(import.meta.dirname, '../../test/support');
const { TARE_TEST_RESOLVER: resolver } = process.env;
const id = (digit: string): string => digit.repeat(64);

class NameGround extends Ground {
  readonly named: NetworkPlaces = {
    ...this.places,
    nameservers: () => ['192.0.2.1'],
    ...(resolver === undefined ? {} : { resolver }),
  };

  constructor() {
    super();
    this.run(this.machine, 'ip', 'link', 'set', 'lo', 'up');
  }

  async network(name: string, more: object = {}): Promise<string> {
    using _lock = await lockNetworks(this.named);
    return createNetwork(this.named, { name, ...more }).subnets[0]?.gateway ?? '';
  }

  /** A container called `name`; its namespace and its address in the first network. */
  async box(digit: string, name: string, ...networks: string[]): Promise<{ netns: Fd; address: string }> {
    const netns = this.namespace();
    const wishes = networks.map((network) => ({ network }));
    const { networks: joined, nameless } = await attach(this.named, id(digit), netns, wishes, [], { names: [name] });
    assert.deepEqual([...nameless], []);
    return { netns, address: joined[0]?.addresses[0]?.address ?? '' };
  }

  dig(netns: Fd, ...words: string[]): string {
    return this.run(netns, 'python3', `${support}/dns-client.py`, ...words).trim();
  }

  /** Processes that resolve names here: the keeper first. */
  resolvers(): number[] {
    const netns = readlinkSync(`/proc/self/fd/${this.machine.number}`);
    return readdirSync('/proc')
      .filter((pid) => {
        try {
          const isOurs = readFileSync(`/proc/${pid}/cmdline`, 'utf8').startsWith('tare-resolver');
          return isOurs && readlinkSync(`/proc/${pid}/ns/net`) === netns;
        } catch {
          return false;
        }
      })
      .map(Number)
      .sort((a, b) => a - b);
  }

  async ended(): Promise<void> {
    const end = performance.now() + 10_000;
    // One that is ending has no command line any more, and its lock a moment longer.
    while ((this.resolvers().length > 0 || isServed(this.named)) && performance.now() < end) await sleep(10);
    assert.deepEqual([this.resolvers(), isServed(this.named)], [[], false]);
  }
}

test(
  'the resolver: one for all networks, as long as somebody is in one; good and bad questions by the thousand',
  canNet,
  async () => {
    await using cleanup = new AsyncDisposableStack();
    const ground = cleanup.use(new NameGround());
    cleanup.defer(async () => detach(ground.named, id('a'), { forget: true }));
    const gateway = await ground.network('web', { ipv6: true });
    const other = await ground.network('back');
    assert.equal(isServed(ground.named), false);
    const a = await ground.box('a', 'one', 'web', 'back');
    const b = await ground.box('b', 'two', 'web');
    const [keeper, worker] = ground.resolvers();
    await ground.start(ground.outside, ['python3', `${support}/dns-server.py`, '192.0.2.1', 'quiet']);
    assert.equal(
      ground.dig(a.netns, gateway, 'two', 'one', 'TWO.web', 'example.org', 'missing.org'),
      `NOERROR ${b.address}\nNOERROR ${a.address}\nNOERROR ${b.address}\nNOERROR 203.0.113.7\nNXDOMAIN`,
    );
    assert.match(
      ground.dig(a.netns, gateway, 'two', 'big.org', 'silent.org', 'slow.org', 'times=300', 'wait=1'),
      /^300 /,
    );
    const hostile = `
import os, random, socket, struct
random.seed(${Date.now() % 100_000})
u = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
u.connect(("${gateway}", 53))
good = bytes.fromhex("000101000001000000000001") + b"\\3two\\0\\0\\1\\0\\1" + bytes.fromhex("0000290200000000000000")
for i in range(3000):
    q = bytearray(good)
    for _ in range(random.randrange(5)):
        q[random.randrange(len(q))] = random.choice([0, 1, 63, 64, 192, 255, random.randrange(256)])
    try: u.send(bytes(q[:random.randrange(len(q) + 1)] if i % 3 == 0 else q) + (os.urandom(random.randrange(2000)) if i % 5 == 0 else b""))
    except OSError: pass
for i in range(60):
    s = socket.create_connection(("${gateway}", 53))
    data = b"".join(struct.pack(">H", random.choice([0, len(good), len(good), 65535])) + good for _ in range(40))
    try: s.sendall(data[:random.randrange(len(data))])
    except OSError: pass
    if i % 2: s.close()
    else: keep = globals().setdefault("keep", []); keep.append(s)
`;
    ground.run(a.netns, 'python3', '-c', hostile);
    assert.equal(ground.dig(a.netns, other, 'two', 'tcp'), `NOERROR ${b.address}`);
    await renameAttached(ground.named, id('b'), ['three']);
    assert.equal(ground.dig(a.netns, gateway, 'three', 'two'), `NOERROR ${b.address}\nNOERROR 203.0.113.7`);
    await detach(ground.named, id('b'), { forget: true });
    assert.equal(ground.dig(a.netns, gateway, 'three', 'one'), `NOERROR 203.0.113.7\nNOERROR ${a.address}`);
    // The very same processes all along.
    assert.deepEqual(ground.resolvers(), [keeper, worker]);
    await detach(ground.named, id('a'), { forget: true });
    await ground.ended();
    assert.equal(isServed(ground.named), false);
  },
);

test(
  'the resolver ends with its directory, and with a table of another version; a damaged one is made again',
  canNet,
  async () => {
    using ground = new NameGround();
    const gateway = await ground.network('web');
    const a = await ground.box('a', 'one', 'web');
    const table = join(namesDir(ground.named), 'table');
    const whole = readFileSync(table);
    const newer = Buffer.from(whole);
    newer.writeUInt32LE(99, 4);
    for (const bad of [newer, whole.subarray(0, 30), Buffer.alloc(0), Buffer.alloc(100, 255)]) {
      writeFileSync(table, bad);
      const b = await ground.box('b', 'two', 'web');
      assert.equal(ground.dig(a.netns, gateway, 'two'), `NOERROR ${b.address}`);
      assert.equal(ground.dig(b.netns, gateway, 'one', 'two'), `NOERROR ${a.address}\nNOERROR ${b.address}`);
      await detach(ground.named, id('b'), { forget: true });
    }
    // Somebody deleted and made the bridge again: it is another link.
    const { bridge } = findNetwork(ground.named, 'web');
    ground.run(ground.machine, 'ip', 'link', 'del', bridge);
    await reloadNetworks(ground.named);
    const c = await ground.box('c', 'three', 'web');
    assert.equal(ground.dig(c.netns, gateway, 'three'), `NOERROR ${c.address}`);
    // The resolver is not there, nor are its files: whoever looks brings it back.
    const [keeper = 0] = ground.resolvers();
    process.kill(keeper, 'SIGKILL');
    await ground.ended();
    await reviveNames(ground.named);
    assert.equal(ground.dig(c.netns, gateway, 'three'), `NOERROR ${c.address}`);
    rmSync(namesDir(ground.named), { recursive: true });
    await ground.ended();
    await reviveNames(ground.named);
    assert.equal(existsSync(namesDir(ground.named)), false);
    assert.deepEqual(ground.resolvers(), []);
  },
);
