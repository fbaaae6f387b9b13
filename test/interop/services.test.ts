/** Real services of Debian's in containers, on a machine in small: reached from it, from outside and from each other; beside podman's networks; and a service that a program starts for itself. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import type { Fd } from '../../src/sys/fd.ts';
import { canNet, Ground, netnsFlag } from '../../src/network/_ground.suite.ts';
import { canRun, Lab, outcome } from '../engine/lab.ts';
import { canPodman, peerLine } from '../image/peer.ts';
import { noDebian, servicesImage, serviceCommands } from '../support/images.ts';

const skip = canRun || canNet.skip || canPodman || noDebian();

class Services implements AsyncDisposable {
  readonly ground = new Ground();
  readonly lab = new Lab();

  static async make(): Promise<Services> {
    const services = new Services();
    const { source } = await servicesImage();
    await services.ok('pull', '-q', source);
    return services;
  }

  /** `tare ARGS` on the machine in small, where it must succeed: what it printed. */
  async ok(...args: string[]): Promise<string> {
    const { code, stdout, stderr } = await outcome(this.lab.startTare(args, [this.#enter, this.#flag]));
    assert.equal(code, 0, `tare ${args.join(' ')}: ${stderr}`);
    return stdout.trim();
  }

  readonly #enter = 'nsenter';
  readonly #flag = netnsFlag(this.ground.machine);

  /** Postgres, when it answers. */
  async postgres(name: string, ...options: string[]): Promise<void> {
    await this.ok('run', '-d', '--name', name, '-u', 'postgres', ...options, 'services', ...serviceCommands.postgres);
    await eventually(async () => (await this.sql(name, 'select 1')) === '1', 30_000, `${name} answers`);
  }

  /** What a query gives, asked inside; "" when it fails. */
  async sql(name: string, query: string): Promise<string> {
    const args = ['exec', '-u', 'postgres', name, 'psql', '-h', '127.0.0.1', '-Atc', query];
    const { stdout } = await outcome(this.lab.startTare(args, [this.#enter, this.#flag]));
    return stdout.trim();
  }

  async address(name: string, network: string): Promise<string> {
    return this.ok('inspect', '--format', `{{(index .NetworkSettings.Networks "${network}").IPAddress}}`, name);
  }

  /** The first line of what a web server says, asked from a namespace. */
  http(from: Fd, host: string, port: number): string {
    const script = `import http.client, sys
c = http.client.HTTPConnection(sys.argv[1], int(sys.argv[2]), timeout=5)
c.request("GET", "/")
r = c.getresponse()
print(r.status, r.read().decode().split("<title>")[1].split("<")[0])`;
    return this.ground.run(from, 'python3', '-c', script, host, String(port)).trim();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const list = await outcome(this.lab.startTare(['ps', '-aq'], [this.#enter, this.#flag]));
    const ids = list.stdout.split('\n').filter(Boolean);
    if (ids.length > 0) await outcome(this.lab.startTare(['rm', '-f', ...ids], [this.#enter, this.#flag]));
    await this.lab[Symbol.asyncDispose]();
    this.ground[Symbol.dispose]();
  }
}

async function eventually(condition: () => boolean | Promise<boolean>, ms: number, what: string): Promise<void> {
  const end = performance.now() + ms;
  while (!(await condition())) {
    if (performance.now() > end) throw new Error(`in ${ms} ms it did not come true that ${what}`);
    await sleep(20);
  }
}

describe('services', { skip, concurrency: 1, timeout: 600_000 }, () => {
  test('three of one application: by name, by port, from outside, over IPv6, after a restart, 200 connections at once', async () => {
    await using services = await Services.make();
    const { ground } = services;
    await services.ok('network', 'create', '--ipv6', 'app');
    await services.postgres('db', '--network', 'app', '-v', 'pgdata:/var/lib/postgresql', '-p', '127.0.0.1:5432:5432');
    await services.ok('run', '-d', '--name', 'cache', '--network', 'app', 'services', ...serviceCommands.redis);
    await services.ok(
      'run',
      '-d',
      '--name',
      'web',
      '--network',
      'app',
      '-p',
      '8080:80',
      'services',
      ...serviceCommands.nginx,
    );

    // From each other, by name.
    const client = ['run', '--rm', '--network', 'app', 'services'];
    assert.equal(await services.ok(...client, 'psql', '-h', 'db', '-U', 'postgres', '-Atc', 'select 40 + 2'), '42');
    await eventually(
      async () => (await services.ok(...client, 'sh', '-c', 'redis-cli -h cache set k v || true')) === 'OK',
      10_000,
      'redis answers',
    );
    assert.equal(await services.ok(...client, 'redis-cli', '-h', 'cache', 'get', 'k'), 'v');

    // From the machine and from outside, by both families.
    for (const host of ['192.0.2.2', 'fd01::2'])
      assert.equal(services.http(ground.outside, host, 8080), '200 Welcome to nginx!', host);
    assert.equal(services.http(ground.machine, '127.0.0.1', 8080), '200 Welcome to nginx!');
    assert.match(ground.ask(ground.outside, '192.0.2.2', 5432), /^no: /, 'published on loopback alone');

    // The address and the data stay.
    const before = await services.address('db', 'app');
    await services.sql('db', 'create table t as select 7 as n');
    await services.ok('restart', '-t', '20', 'db');
    assert.equal(await services.address('db', 'app'), before);
    await eventually(async () => (await services.sql('db', 'select n from t')) === '7', 30_000, 'the data is there');

    // Many at once, through the published port.
    const many = `import socket, struct
def start(host, port):
    s = socket.create_connection((host, port), timeout=20)
    body = struct.pack("!I", 196608) + b"user\\0postgres\\0\\0"
    s.sendall(struct.pack("!I", len(body) + 4) + body)
    return s
all = [start("127.0.0.1", 5432) for _ in range(200)]
print(sum(s.recv(1) == b"R" for s in all))`;
    assert.equal(ground.run(ground.machine, 'python3', '-c', many).trim(), '200');

    // A network more, while it runs.
    await services.ok('network', 'create', 'admin');
    await services.ok('network', 'connect', 'admin', 'db');
    const admin = ['run', '--rm', '--network', 'admin', 'services', 'psql', '-h', 'db', '-U', 'postgres', '-Atc'];
    assert.equal(await services.ok(...admin, 'select n from t'), '7');
  });

  test('podman has networks on the same machine at the same time, and neither is in the way of the other', async () => {
    await using services = await Services.make();
    const { ground, lab } = services;
    const [podman = '', ...args] = peerLine(lab, 'podman');
    const theirs = (...more: string[]): string => ground.run(ground.machine, podman, ...args, ...more).trim();
    const limits = ['--ulimit', 'nofile=1024:1024', '--ulimit', 'nproc=4096:4096', '--cgroup-parent', lab.cgroupParent];
    const web = ['services', ...serviceCommands.nginx];
    await services.ok('run', '-d', '--name', 'ours', '-p', '8080:80', '--network', 'bridge', ...web);
    theirs('run', '-d', '--name', 'theirs', '-p', '8081:80', '--network', 'podman', ...limits, ...web);
    try {
      for (const round of ['both', 'after a reload']) {
        await eventually(
          () => services.http(ground.outside, '192.0.2.2', 8081).startsWith('200'),
          10_000,
          `theirs, ${round}`,
        );
        assert.match(services.http(ground.outside, '192.0.2.2', 8080), /^200/, round);
        await services.ok('network', 'reload');
        theirs('network', 'reload', 'theirs');
      }
      await services.ok('rm', '-f', 'ours');
      assert.match(services.http(ground.outside, '192.0.2.2', 8081), /^200/, 'ours is gone');
      await services.ok('run', '-d', '--name', 'ours', '-p', '8080:80', '--network', 'bridge', ...web);
    } finally {
      theirs('rm', '-f', '-t', '0', 'theirs');
    }
    await eventually(
      () => services.http(ground.outside, '192.0.2.2', 8080).startsWith('200'),
      10_000,
      'theirs is gone',
    );
  });

  test("the README's postgres of a program is reached by its port, and is gone within two seconds of a kill -9", async () => {
    await using services = await Services.make();
    const { root, runRoot, storageRoot, storageRunRoot, cgroupParent = '' } = services.lab.options;
    const readme = readFileSync(join(import.meta.dirname, '../../README.md'), 'utf8');
    const example = readme.split('```').find((block) => block.startsWith('ts\n') && block.includes('library/postgres'));
    assert.ok(example !== undefined, 'it is there');
    // The same with what this machine has: Debian's postgres, and roots of the test's own.
    const swaps: readonly [string, string][] = [
      ['ts\n', ''],
      ["'tare'", JSON.stringify(pathToFileURL(join(import.meta.dirname, '../../src/mod.ts')).href)],
      ['open();', `open(${JSON.stringify({ root, runRoot, storageRoot, storageRunRoot, cgroupParent })});`],
      ["'docker.io/library/postgres', []", `'services', ${JSON.stringify(serviceCommands.postgres)}`],
      ["env: ['POSTGRES_HOST_AUTH_METHOD=trust']", "user: 'postgres', network: 'bridge'"],
    ];
    let program = example;
    for (const [from, to] of swaps) {
      assert.ok(program.includes(from), from);
      program = program.replace(from, to);
    }
    const child = spawn(
      'nsenter',
      [
        netnsFlag(services.ground.machine),
        process.execPath,
        '--input-type=module',
        '-e',
        `${program}\nawait db.wait();`,
      ],
      { stdio: ['ignore', 'pipe', 'inherit'] },
    );
    const [line] = (await once(child.stdout, 'data')) as [Buffer];
    const { hostname, port } = new URL(line.toString());
    assert.equal(hostname, '127.0.0.1');
    const id = await services.ok('ps', '-q', '--no-trunc');
    // It says who it is before it takes a query: 'S' for "no" to a question about TLS would be 'N'.
    const greeting = `import socket, struct
s = socket.create_connection(("127.0.0.1", ${port}), timeout=20)
s.sendall(struct.pack("!II", 8, 80877103))
print(s.recv(1).decode())`;
    assert.match(services.ground.run(services.ground.machine, 'python3', '-c', greeting).trim(), /^[NS]$/);
    assert.match(
      services.ground.ask(services.ground.outside, '192.0.2.2', Number(port)),
      /^no: /,
      'on 127.0.0.1 alone',
    );
    const links = (): string => services.ground.run(services.ground.machine, 'ip', '-br', 'link');
    assert.match(links(), /^veth/m);
    child.kill('SIGKILL');
    await eventually(async () => !(await services.ok('ps', '-aq', '--no-trunc')).includes(id), 2_000, 'it is gone');
    await eventually(() => !/^veth/m.test(links()), 2_000, 'its link is gone');
    assert.doesNotMatch(
      services.ground.run(services.ground.machine, 'nft', 'list', 'ruleset'),
      new RegExp(`\\b${port}\\b`),
    );
  });
});
