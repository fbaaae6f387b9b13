/** Health checks, which the monitor runs on its own. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { isKind } from '../../src/base/errors.ts';
import {
  checkHealth,
  inspectContainer,
  listContainers,
  pauseContainer,
  readEvents,
  removeContainer,
  stopContainer,
  unpauseContainer,
  waitContainer,
  type CreateOptions,
  type HealthState,
} from '../../src/engine/mod.ts';
import { readHealth, readRestart } from '../../src/engine/supervision-state.ts';
import { readRecord } from '../../src/engine/record.ts';
import { blobsOf, buildImage, writeLayout } from '../support/image.ts';
import { canRun, hasCgroups, Lab, slowness, until } from './lab.ts';

const skip = canRun;
const timeout = 120_000;

const shell = (script: string): readonly string[] => ['CMD-SHELL', script];
const sleeper = ['sleep', '1000'];

function healthOf(lab: Lab, id: string): HealthState | undefined {
  return readHealth(lab.at(id), readRecord(lab.engine, id));
}

async function statuses(lab: Lab): Promise<string[]> {
  const found: string[] = [];
  for await (const { action, attributes } of readEvents(lab.engine, { follow: false }))
    if (action === 'health_status') found.push(attributes['status'] ?? '');
  return found;
}

async function reaches(lab: Lab, id: string, status: string): Promise<void> {
  await until(() => healthOf(lab, id)?.status === status, 30_000, `it is ${status}`);
}

test(
  'health: starting, healthy, unhealthy after so many failures, healthy again; shown by ps and inspect, told as events',
  { skip, timeout },
  async () => {
    await using lab = new Lab();
    const { id } = await lab.detached(sleeper, {
      name: 'web',
      health: { test: shell('echo "said \\"x\\""; test ! -e /tmp/ill'), intervalMs: 40, retries: 3 },
    });
    await reaches(lab, id, 'healthy');
    assert.match((await lab.tare('ps')).stdout, /Up .* \(healthy\)/);
    assert.equal(listContainers(lab.engine)[0]?.health, 'healthy');
    await lab.tare('exec', 'web', 'touch', '/tmp/ill');
    await reaches(lab, id, 'unhealthy');
    const ill = healthOf(lab, id);
    assert.ok((ill?.failingStreak ?? 0) >= 3);
    await until(() => healthOf(lab, id)?.log.length === 5, 30_000, 'five results are kept');
    assert.match((await lab.tare('ps', '--filter', 'health=unhealthy')).stdout, /\(unhealthy\)/);
    await lab.tare('exec', 'web', 'rm', '/tmp/ill');
    await reaches(lab, id, 'healthy');
    const { State } = (await inspectContainer(lab.engine, id)) as {
      State: { Health: { Status: string; Log: { Output: string; ExitCode: number; Start: string; End: string }[] } };
    };
    assert.equal(State.Health.Status, 'healthy');
    for (const { Output, Start, End } of State.Health.Log) {
      assert.equal(Output, 'said "x"\n');
      assert.ok(Date.parse(Start) <= Date.parse(End));
    }
    assert.deepEqual(await statuses(lab), ['healthy', 'unhealthy', 'healthy']);
    await removeContainer(lab.engine, id, { force: true });
    assert.deepEqual(await lab.leftovers(), []);
  },
);

test('health: it runs as the container does: its user, namespaces, cgroup and filter', { skip, timeout }, async () => {
  await using lab = new Lab();
  const script =
    'id -u; grep -h "^CapEff\\|^Seccomp:\\|^NoNewPrivs" /proc/self/status; cat /proc/self/cgroup; readlink /proc/self/ns/net; pwd; echo $V';
  const { id } = await lab.detached(['sh', '-c', `(${script}) > /tmp/own; touch /tmp/done; exec sleep 1000`], {
    user: 'user',
    env: ['V=w'],
    workdir: '/tmp',
    mounts: [{ type: 'tmpfs', destination: '/tmp', options: ['mode=1777'] }],
    health: {
      test: shell(
        `while test ! -e /tmp/done; do sleep 0.05; done; (${script}) | sort > /tmp/check; sort /tmp/own > /tmp/o; cat /tmp/check; test "$(cat /tmp/o)" = "$(cat /tmp/check)"`,
      ),
      intervalMs: 0,
    },
  });
  await until(() => existsSync(lab.at(id, 'pid')), 30_000, 'it runs');
  const { result } = await checkHealth(lab.engine, id);
  assert.equal(result.exitCode, 0, result.output);
  assert.match(result.output, /^1000$/m);
  assert.match(result.output, /^w$/m);
});

test(
  'checkHealth: at once, counts, exit code of the command line; and what cannot be checked',
  { skip, timeout },
  async () => {
    await using lab = new Lab();
    const { id } = await lab.detached(sleeper, {
      name: 'asked',
      health: { test: shell('test -e /tmp/well'), intervalMs: 0, retries: 2 },
    });
    assert.equal(healthOf(lab, id)?.status, 'starting');
    const failed = await lab.tare('healthcheck', 'run', 'asked');
    assert.deepEqual([failed.code, failed.stdout], [1, 'starting\n']);
    assert.equal((await lab.tare('healthcheck', 'run', 'asked')).stdout, 'unhealthy\n');
    await lab.tare('exec', 'asked', 'touch', '/tmp/well');
    const results = await Promise.all([1, 2, 3].map(() => lab.tare('healthcheck', 'run', 'asked')));
    assert.deepEqual(
      results.map(({ code, stdout }) => [code, stdout]),
      [
        [0, ''],
        [0, ''],
        [0, ''],
      ],
    );
    assert.equal(healthOf(lab, id)?.status, 'healthy');
    await stopContainer(lab.engine, id, { timeoutSeconds: 0 });
    const stopped = await lab.tare('healthcheck', 'run', 'asked');
    assert.deepEqual([stopped.code, /is exited, not running/.test(stopped.stderr)], [125, true]);
    await lab.detached(sleeper, { name: 'plain' });
    const none = await lab.tare('healthcheck', 'run', 'plain');
    assert.match(none.stderr, /Cannot check health of container plain: it has no health check/);
  },
);

test('health: a check that takes too long has failed and leaves no process', { skip, timeout }, async () => {
  await using lab = new Lab();
  const { id } = await lab.detached(sleeper, {
    health: { test: ['CMD', 'sleep', '500'], intervalMs: 0, timeoutMs: 1050, retries: 1 },
  });
  const { result, health } = await checkHealth(lab.engine, id);
  assert.deepEqual(
    [result.exitCode, result.output, health.status],
    [-1, 'Health check exceeded timeout (1.050s)', 'unhealthy'],
  );
  assert.equal((await lab.tare('exec', id, 'ps')).stdout.includes('sleep 500'), false);
});

test(
  'health: a check that cannot start, floods, prints bytes, or leaves a child with its streams',
  { skip, timeout },
  async () => {
    await using lab = new Lab();
    const check = async (test: readonly string[]) => {
      const { id } = await lab.detached(sleeper, { health: { test, intervalMs: 0, timeoutMs: 20_000 } });
      return (await checkHealth(lab.engine, id)).result;
    };
    const missing = await check(['CMD', '/nowhere']);
    assert.equal(missing.exitCode, 127);
    assert.match(missing.output, /cannot run the check/);
    const flood = await check(shell('yes 0123456789 | head -c 3000000'));
    assert.deepEqual([flood.exitCode, flood.output.length], [0, 4096]);
    const bytes = await check(shell('printf "\\001\\n\\t\\"\\\\\\\\ \\377 é"'));
    assert.equal(bytes.output, '\u0001\n\t"\\ \ufffd é');
    const child = await check(shell('sleep 1000 & echo done'));
    assert.deepEqual([child.exitCode, child.output], [0, 'done\n']);
  },
);

test('health: failures in the start period do not count', { skip, timeout }, async () => {
  await using lab = new Lab();
  const { id } = await lab.detached(sleeper, {
    health: { test: ['CMD', 'false'], intervalMs: 60_000, startPeriodMs: 600_000, startIntervalMs: 20, retries: 1 },
  });
  await until(() => healthOf(lab, id)?.log.length === 5, 30_000, 'it was checked');
  assert.deepEqual([healthOf(lab, id)?.status, healthOf(lab, id)?.failingStreak], ['starting', 0]);
});

const ill = (onFailure: 'kill' | 'restart' | 'stop'): Partial<CreateOptions> => ({
  health: { test: shell('test ! -e /root/ill'), intervalMs: 30, retries: 2, onFailure },
});

test('health on-failure kill and stop: it ends; stop is by its stop signal', { skip, timeout }, async () => {
  await using lab = new Lab();
  const script = 'trap "exit 21" TERM; touch /root/ill; while :; do sleep 0.05; done';
  const killed = await lab.detached(['sh', '-c', script], ill('kill'));
  assert.equal((await waitContainer(lab.engine, killed.id))?.code, 137);
  const stopped = await lab.detached(['sh', '-c', script], ill('stop'));
  assert.equal((await waitContainer(lab.engine, stopped.id))?.code, 21);
});

test('health on-failure restart: without a policy, as long as it gets ill', { skip, timeout }, async () => {
  await using lab = new Lab();
  const script =
    'echo x >> /root/runs; rm -f /root/ill; test $(wc -l < /root/runs) -ge 3 || touch /root/ill; trap "exit 0" TERM; while :; do sleep 0.05; done';
  const { id } = await lab.detached(['sh', '-c', script], ill('restart'));
  // The first may be checked before it has made itself ill.
  const isThird = (): boolean => readRestart(lab.at(id)).count === 2;
  await until(() => isThird() && healthOf(lab, id)?.status === 'healthy', 30_000, 'the third run is healthy');
  assert.equal(((await inspectContainer(lab.engine, id)) as { RestartCount: number }).RestartCount, 2);
  await stopContainer(lab.engine, id);
  assert.equal(((await inspectContainer(lab.engine, id)) as { RestartCount: number }).RestartCount, 2);
});

test('health: with a restart policy the check goes on in the next run, from starting', { skip, timeout }, async () => {
  await using lab = new Lab();
  const { id } = await lab.detached(sleeper, {
    restart: { policy: 'always' },
    health: { test: ['CMD', 'true'], intervalMs: 30 },
  });
  await reaches(lab, id, 'healthy');
  const { State } = (await inspectContainer(lab.engine, id)) as { State: { Pid: number } };
  process.kill(State.Pid, 'SIGKILL');
  const count = async (): Promise<number> => (await statuses(lab)).length;
  for (const end = Date.now() + 30_000; (await count()) < 2 && Date.now() < end;);
  assert.deepEqual(await statuses(lab), ['healthy', 'healthy']);
});

test(
  'health: a paused container is not ill, also when it is paused in the middle of a check',
  { skip: skip || hasCgroups, timeout },
  async () => {
    await using lab = new Lab();
    const { id } = await lab.detached(sleeper, {
      name: 'still',
      health: {
        test: shell('test ! -e /root/slow || sleep 0.2'),
        intervalMs: 20,
        timeoutMs: 1000 * slowness,
        retries: 1,
        onFailure: 'kill',
      },
    });
    await reaches(lab, id, 'healthy');
    await lab.tare('exec', 'still', 'touch', '/root/slow');
    await sleep(100);
    await pauseContainer(lab.engine, id);
    const error: unknown = await checkHealth(lab.engine, id).catch((caught: unknown) => caught);
    assert.ok(isKind(error, 'failed-precondition') && /it is paused/.test(String(error)), JSON.stringify(error));
    await sleep(1500 * slowness);
    assert.equal(healthOf(lab, id)?.status, 'healthy');
    await unpauseContainer(lab.engine, id);
    assert.equal((await checkHealth(lab.engine, id)).health.status, 'healthy');
    assert.deepEqual(await statuses(lab), ['healthy']);
  },
);

test(
  'health: the HEALTHCHECK of an image is honoured, replaced in part, and turned off; images tell their events',
  { skip, timeout },
  async () => {
    await using lab = new Lab();
    const layer = spawnSync('tar', ['-C', lab.rootfs, '-c', '.'], { maxBuffer: 1 << 28 }).stdout;
    const image = buildImage({
      layers: [layer],
      config: { Healthcheck: { Test: ['CMD-SHELL', 'test -e /etc/passwd'], Interval: 3.6e12, Retries: 2 } },
    });
    const layout = join(lab.dir, 'layout');
    writeLayout(layout, blobsOf(image), { checked: image.manifest });
    const pulled = await lab.tare('pull', '-q', `oci:${layout}:checked`);
    assert.equal(pulled.code, 0, pulled.stderr);
    const imageId = pulled.stdout.trim();
    const run = async (...args: string[]): Promise<{ id: string; check: object }> => {
      const { stdout, code, stderr } = await lab.tare('run', '-d', ...args, imageId, 'sleep', '1000');
      assert.equal(code, 0, stderr);
      const { Config } = (await inspectContainer(lab.engine, stdout.trim())) as { Config: { Healthcheck: object } };
      return { id: stdout.trim(), check: JSON.parse(JSON.stringify(Config.Healthcheck)) as object };
    };
    const whole = await run();
    const check = { Test: ['CMD-SHELL', 'test -e /etc/passwd'], Interval: 3.6e12, Retries: 2 };
    assert.deepEqual(whole.check, check);
    assert.equal((await checkHealth(lab.engine, whole.id)).health.status, 'healthy');
    assert.deepEqual((await run('--health-retries=5')).check, { ...check, Retries: 5 });
    const off = await run('--no-healthcheck');
    assert.deepEqual(off.check, { Test: ['NONE'] });
    assert.ok(isKind(await checkHealth(lab.engine, off.id).catch((error: unknown) => error), 'failed-precondition'));
    await lab.tare('commit', whole.id, 'copy');
    await lab.tare('tag', imageId, 'other');
    await lab.tare('untag', imageId, 'other');
    await lab.tare('rmi', 'copy');
    const known = ['events', '--stream=false'];
    const told = await lab.tare(...known, '--filter', 'type=image', '--format', '{{.Action}} {{.Name}}');
    const lines = told.stdout.trimEnd().split('\n');
    assert.match(lines.shift() ?? '', /^pull /);
    const expected = ['tag localhost/other', 'untag localhost/other', 'untag localhost/copy', 'remove localhost/copy'];
    assert.deepEqual(
      lines,
      expected.map((line) => `${line}:latest`),
    );
    const commits = await lab.tare(...known, '--filter', 'event=commit', '--format', '{{.ID}}');
    assert.equal(commits.stdout, `${whole.id}\n`);
  },
);
