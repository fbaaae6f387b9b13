/** Who starts and who ends what in a pod. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { createPod } from '../../src/engine/pods/create-pod.ts';
import { summarize } from '../../src/engine/list.ts';
import { canRun, isAlive, rootless, until } from './lab.ts';
import { PodLab } from './pod-lab.ts';

describe('life of pods', { skip: canRun, concurrency: 2 }, () => {
  test('the sandbox’s death is the pod’s end, however it died', async () => {
    await using lab = new PodLab();
    const { id } = await createPod(lab.engine, { name: 'p' });
    await lab.ok('run', '-d', '--pod', 'p', '--stop-timeout', '0', '--name', 'a', 'box', 'sleep', '1000');
    const before = lab.pidOf(id);
    process.kill(before, 'SIGKILL');
    await until(() => summarize(lab.engine, lab.idOf('a'))?.state === 'exited', 10_000, 'its container is stopped');
    assert.equal(await lab.state('p'), 'Exited');
    await lab.ok('start', 'a');
    assert.equal(await lab.state('p'), 'Running');
    // Without a last act: the next command sees it.
    const sandbox = lab.pidOf(id);
    process.kill(lab.monitorOf(id), 'SIGKILL');
    await until(() => !isAlive(sandbox), 5000, 'the sandbox is dead');
    assert.equal(await lab.state('p'), 'Exited');
    await lab.ok('pod', 'start', 'p');
    assert.equal(await lab.state('p'), 'Running');
    await lab.ok('pod', 'rm', '-f', 'p');
    await lab.clean();
  });

  test('--exit-policy stop: the pod ends with the last of its containers; continue: it stays', async () => {
    await using lab = new PodLab();
    const stops = await lab.ok('pod', 'create', '--exit-policy', 'stop', '--name', 'stops');
    const stays = await lab.ok('pod', 'create', '--name', 'stays');
    for (const pod of ['stops', 'stays']) {
      await lab.ok('run', '-d', '--pod', pod, '--name', `${pod}-1`, 'box', 'sleep', '1000');
      await lab.ok('run', '--rm', '--pod', pod, 'box', 'true');
      assert.equal(await lab.state(pod), 'Running');
      await lab.ok('stop', '-t', '0', `${pod}-1`);
    }
    await until(() => summarize(lab.engine, stops)?.state === 'exited', 10_000, 'it has ended');
    assert.equal(summarize(lab.engine, stays)?.state, 'running');
    // Attached, its client does it.
    await lab.ok('run', '--rm', '--pod', 'stops', 'box', 'true');
    await until(() => summarize(lab.engine, stops)?.state === 'exited', 10_000, 'it has ended again');
    await lab.ok('pod', 'rm', '-fa');
    await lab.clean();
  });

  test('a restart, of one container or of the pod, is no end: --exit-policy stop, --rm; create --replace goes by the name alone', async () => {
    await using lab = new PodLab();
    const id = await lab.ok('pod', 'create', '--exit-policy', 'stop', '--name', 'p');
    await lab.ok('run', '-d', '--rm', '--pod', 'p', '--name', 'a', 'box', 'sleep', '1000');
    const sandbox = lab.pidOf(id);
    await lab.ok('restart', '-t', '0', 'a');
    assert.equal(lab.pidOf(id), sandbox, 'the sandbox is the same');
    await lab.ok('pod', 'restart', '-t', '0', 'p');
    assert.equal(await lab.state('p'), 'Running');
    assert.equal(await lab.ok('ps', '--format', '{{.Names}}'), 'a', 'it runs again');
    assert.notEqual(lab.pidOf(id), sandbox);
    const prefix = id.slice(0, 6);
    await lab.ok('pod', 'create', '--replace', '--name', prefix);
    assert.equal(await lab.state('p'), 'Running', 'the name is not its own');
    const { code } = await lab.tare('pod', 'create', '--replace', '--name', 'p', '--share', 'bogus');
    assert.equal(code, 125);
    assert.equal(await lab.state('p'), 'Running', 'what is refused replaces nothing');
    await lab.ok('pod', 'create', '--replace', '--name', 'p');
    assert.equal(await lab.state('p'), 'Created');
    const renamed = await lab.tare(
      'rename',
      await lab.ok('pod', 'ps', '-q', '--no-trunc', '--filter', 'name=^p$'),
      'x',
    );
    assert.match(renamed.stderr, /it is a pod/);
    assert.match((await lab.tare('pod', 'ps', '--filter', 'ctr-status=runing')).stderr, /expected created/);
    await lab.ok('pod', 'rm', '-fa');
    await lab.clean();
  });

  test('init containers run to their end before the others, each time or once; one that fails keeps the pod from starting', async () => {
    await using lab = new PodLab();
    await lab.ok('pod', 'create', '--name', 'p');
    const note = (text: string): string[] => [
      '-v',
      `${lab.dir}:/note`,
      'box',
      'sh',
      '-c',
      `sleep 0.1; echo ${text} >> /note/note`,
    ];
    await lab.ok('create', '--pod', 'p', '--init-ctr', 'once', '--name', 'first', ...note('once'));
    await lab.ok('create', '--pod', 'p', '--init-ctr', 'always', '--name', 'second', ...note('always'));
    await lab.ok(
      'create',
      '--pod',
      'p',
      '--name',
      'main',
      '-v',
      `${lab.dir}:/note`,
      'box',
      'sh',
      '-c',
      'echo main >> /note/note; exec sleep 1000',
    );
    const noted = (): string => readFileSync(join(lab.dir, 'note'), 'utf8').trim().replaceAll('\n', ' ');
    await lab.ok('pod', 'start', 'p');
    await until(() => noted().endsWith('main'), 5000, 'the main container runs');
    assert.equal(noted(), 'once always main');
    await lab.refused(1, 'container', 'exists', 'first');
    await lab.ok('pod', 'restart', '-t', '0', 'p');
    await until(() => noted().endsWith('always main'), 5000, 'it runs again');
    assert.equal(noted(), 'once always main always main');
    assert.equal(await lab.state('p'), 'Running');
    await lab.ok('pod', 'stop', '-t', '0', 'p');
    await lab.ok('create', '--pod', 'p', '--init-ctr', 'always', '--name', 'bad', 'box', 'false');
    assert.match(
      await lab.refused(125, 'pod', 'start', 'p'),
      /Cannot start pod p: init container bad ended with exit code 1; see tare logs bad/,
    );
    assert.equal(summarize(lab.engine, lab.idOf('main'))?.state, 'exited');
    await lab.ok('pod', 'rm', '-f', 'p');
    await lab.clean();
  });

  test('--restart of a pod is that of its containers; commands are seen as of the pod in events', async () => {
    await using lab = new PodLab();
    await lab.ok(
      'pod',
      'create',
      '--name',
      'p',
      '--restart',
      'always',
      ...(rootless === undefined ? ['--sysctl', 'net.ipv4.ip_forward=1'] : []),
    );
    await lab.ok('run', '-d', '--pod', 'p', '--name', 'a', 'box', 'sleep', '1000');
    assert.equal(await lab.ok('inspect', '--format', '{{.HostConfig.RestartPolicy.Name}}', 'a'), 'always');
    if (rootless === undefined) assert.equal(await lab.ok('exec', 'a', 'cat', '/proc/sys/net/ipv4/ip_forward'), '1');
    const before = await lab.ok('exec', 'a', 'readlink', '/proc/self/ns/net');
    const killed = lab.pidOf(lab.idOf('a'));
    process.kill(killed, 'SIGKILL');
    const again = (): boolean => {
      const pid = summarize(lab.engine, lab.idOf('a'))?.pid;
      return pid !== undefined && pid !== killed;
    };
    await until(again, 10_000, 'it runs again');
    assert.equal(await lab.ok('exec', 'a', 'readlink', '/proc/self/ns/net'), before);
    await lab.ok('pod', 'rm', '-f', 'p');
    const events = await lab.ok(
      'events',
      '--stream=false',
      '--since',
      '1h',
      '--filter',
      'type=pod',
      '--format',
      '{{.Action}}',
    );
    assert.deepEqual(
      events.split('\n').filter((word) => /create|start|die|destroy/.test(word)),
      ['create', 'start', 'die', 'destroy'],
    );
    await lab.clean();
  });
});
