/**
 * What networks carry: `tools/node bench/networks.ts`. Throughput through a published port, beside podman's where it is installed, and through a user's beside pasta's; the start of the 100th container of a network
 * beside the first; how long a container's name takes to resolve. Needs root, busybox and python3. Everything happens in network namespaces of its own, on a machine in small.
 */
import { spawnSync } from 'node:child_process';
import { symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Ground, netnsFlag } from '../src/network/_ground.suite.ts';
import { Lab } from '../test/engine/lab.ts';
import { peerLine } from '../test/image/peer.ts';
import { UserLab } from '../test/rootless/lab.ts';
import { busyboxImage } from '../test/support/images.ts';

const GIB = 1;
const ROUNDS = 7;
const CONTAINERS = 100;
const LOOKUPS = 2000;

/** Sends so many GiB and prints how many MiB a second arrived. */
const sender = `
import socket, sys, time
s = socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=60)
block, left = bytes(1 << 20), int(sys.argv[3]) << 10
began = time.perf_counter()
for _ in range(left): s.sendall(block)
s.shutdown(socket.SHUT_WR)
s.recv(1)
print(left / (time.perf_counter() - began))`;

/** The median time, in microseconds, that the nameserver of resolv.conf takes for the address of a name. */
const resolver = `
import socket, sys, time
server = [line.split()[1] for line in open("/etc/resolv.conf") if line.startswith("nameserver")][0]
query = b"".join(bytes([len(p)]) + p.encode() for p in sys.argv[1].split(".")) + b"\\0\\0\\1\\0\\1"
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.settimeout(5)
times = []
for n in range(int(sys.argv[2])):
    began = time.perf_counter()
    s.sendto(n.to_bytes(2, "big") + b"\\1\\0\\0\\1\\0\\0\\0\\0\\0\\0" + query, (server, 53))
    answer = s.recv(512)
    times.append(time.perf_counter() - began)
    assert answer[7] >= 1, "no answer"
times.sort()
print(times[len(times) // 2] * 1e6, times[len(times) * 99 // 100] * 1e6)`;

class Bench implements AsyncDisposable {
  readonly ground = new Ground();
  readonly lab = new Lab();
  readonly #enter = ['nsenter', netnsFlag(this.ground.machine)];

  constructor() {
    for (const name of ['lib', 'lib64']) symlinkSync(`usr/${name}`, join(this.lab.rootfs, name));
  }

  /** What a command printed, on the machine in small. Errors: Error when it failed. */
  run(...argv: readonly string[]): string {
    const [program = '', ...args] = [...this.#enter, ...argv];
    const { status, stdout, stderr } = spawnSync(program, args, { encoding: 'utf8', cwd: this.lab.dir });
    if (status !== 0) throw new Error(`${argv.join(' ')}: ${stderr}`);
    return stdout.trim();
  }

  tare(...args: readonly string[]): string {
    return this.run(...this.lab.options.self, ...args);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.lab[Symbol.asyncDispose]();
    this.ground[Symbol.dispose]();
  }
}

const median = (values: readonly number[]): number =>
  values.toSorted((a, b) => a - b)[values.length >> 1] ?? Number.NaN;

async function throughput(bench: Bench): Promise<void> {
  const { source } = await busyboxImage();
  const image = bench.tare('pull', '-q', source).split('\n').at(-1) ?? '';
  const server = ['sh', '-c', 'while :; do nc -l -p 80 >/dev/null; done'];
  const ports = new Map([['tare', 8080]]);
  bench.tare('run', '-d', '--network', 'bridge', '-p', '8080:80', image, ...server);
  const limits = [
    '--ulimit',
    'nofile=1024:1024',
    '--ulimit',
    'nproc=4096:4096',
    '--cgroup-parent',
    bench.lab.cgroupParent,
  ];
  const podman = peerLine(bench.lab, 'podman');
  try {
    bench.run(
      ...podman,
      'run',
      '-d',
      '--network',
      'podman',
      '-p',
      '8081:80',
      '--name',
      'peer',
      ...limits,
      image,
      ...server,
    );
    ports.set('podman', 8081);
  } catch (error) {
    console.log(`no podman to compare with: ${String(error).slice(0, 300)}`);
  }
  await sleep(1000);
  await compare(bench.ground, 'through a published port', [...ports], 0.95);
  if (ports.has('podman')) bench.run(...podman, 'rm', '-f', '-t', '0', 'peer');
}

/** MiB a second to two ports of the machine, in turn, and the first as a part of the second. */
async function compare(
  ground: Ground,
  what: string,
  ports: readonly (readonly [name: string, port: number])[],
  goal: number,
): Promise<void> {
  const rates = new Map(ports.map(([name]) => [name, [] as number[]]));
  for (let round = 0; round <= ROUNDS; round++)
    for (const [name, port] of ports) {
      const rate = Number(ground.run(ground.outside, 'python3', '-c', sender, '192.0.2.2', String(port), String(GIB)));
      if (round > 0) rates.get(name)?.push(rate);
      await sleep(200);
    }
  const [ours = Number.NaN, theirs = Number.NaN] = ports.map(([name]) => median(rates.get(name) ?? []));
  const [, peer = 'nobody'] = ports.map(([name]) => name);
  console.log(
    `${what}: ${ours.toFixed(0)} MiB/s, ${peer} ${theirs.toFixed(0)} MiB/s: ${(ours / theirs).toFixed(2)} × (goal ${goal})`,
  );
}

/** The forwarder of users beside pasta's ports. */
async function usersThroughput(): Promise<void> {
  const ground = new Ground();
  try {
    await using lab = new UserLab({ net: netnsFlag(ground.machine), tun: true });
    const server = ['sh', '-c', 'while :; do nc -l -p 80 >/dev/null; done'];
    await lab.ok('run', '-d', '--name', 'ours', '--network', 'bridge', '-p', '8080:80', lab.source, ...server);
    await lab.ok('run', '-d', '--name', 'theirs', '--network', 'pasta', '-p', '8081:80', lab.source, ...server);
    await sleep(1000);
    await compare(
      ground,
      "through a user's published port",
      [
        ['tare', 8080],
        ['pasta', 8081],
      ],
      0.8,
    );
    await lab.ok('rm', '-f', '-t', '0', 'ours', 'theirs');
  } finally {
    ground[Symbol.dispose]();
  }
}

function starts(bench: Bench): void {
  const { lab } = bench;
  bench.tare('network', 'create', 'many');
  const source = ['-v', '/usr:/usr:ro', '--rootfs', `${lab.rootfs}:O`];
  const times = Array.from({ length: CONTAINERS }, (_, n) => {
    const began = performance.now();
    bench.tare('run', '-d', '--network', 'many', '--name', `c${n}-of-many`, ...source, 'sleep', '100000');
    return performance.now() - began;
  });
  const [first, last] = [median(times.slice(0, 15)), median(times.slice(-15))];
  console.log(
    `starts 1 to 15 of ${CONTAINERS} on one network: ${first.toFixed(1)} ms, the last 15: ${last.toFixed(1)} ms: ${(last / first).toFixed(2)} × (goal 1.10)`,
  );
  for (const name of ['c0-of-many', 'c99-of-many']) {
    const [half = 0, most = 0] = bench
      .tare('exec', 'c50-of-many', 'python3', '-c', resolver, name, String(LOOKUPS))
      .split(' ')
      .map(Number);
    console.log(`${name} resolves in ${half.toFixed(0)} µs, 99 of 100 in ${most.toFixed(0)} µs (goal 1,000)`);
  }
}

await using bench = new Bench();
await throughput(bench);
starts(bench);
await usersThroughput();
