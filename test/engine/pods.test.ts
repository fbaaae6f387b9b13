/** Pods: containers that share what one sandbox holds. */
import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { listPods } from '../../src/engine/pods/list-pods.ts';
import { summarize } from '../../src/engine/list.ts';
import { canRun, hasController, isAlive, until } from './lab.ts';
import { PodLab } from './pod-lab.ts';

const namespaces = (types: string): string => `for n in ${types}; do readlink /proc/self/ns/$n; done`;

describe('pods', { skip: canRun, concurrency: 2 }, () => {
  test('pod create, run --pod, stop, start, rm: one network, name and shared memory; podman’s words', async () => {
    await using lab = new PodLab();
    const id = await lab.ok('pod', 'create', '--name', 'web', '-l', 'a=b', '--pod-id-file', join(lab.dir, 'id'));
    assert.match(id, /^[0-9a-f]{64}$/);
    assert.equal(readFileSync(join(lab.dir, 'id'), 'utf8'), id);
    assert.equal(
      await lab.ok('pod', 'ps', '--format', '{{.Name}} {{.Status}} {{.NumberOfContainers}}'),
      'web Created 1',
    );
    const one = await lab.ok('run', '-d', '--pod', 'web', '--name', 'one', 'box', 'sleep', '1000');
    const shared = 'net ipc uts';
    const seen = await lab.ok(
      'run',
      '--rm',
      '--pod-id-file',
      join(lab.dir, 'id'),
      'box',
      'sh',
      '-c',
      `${namespaces(shared)}; hostname; cat /etc/hostname; echo hi > /dev/shm/x; grep web /etc/hosts`,
    );
    assert.equal(seen, `${await lab.ok('exec', 'one', 'sh', '-c', namespaces(shared))}\nweb\nweb\n127.0.1.1\tweb`);
    assert.equal(await lab.ok('exec', 'one', 'cat', '/dev/shm/x'), 'hi');
    const own = 'mnt pid cgroup';
    const other = await lab.ok('run', '--rm', '--pod', 'web', 'box', 'sh', '-c', namespaces(own));
    const first = (await lab.ok('exec', 'one', 'sh', '-c', namespaces(own))).split('\n');
    for (const line of other.split('\n')) assert.ok(!first.includes(line), line);
    assert.equal(await lab.state('web'), 'Running');
    assert.equal(await lab.ok('ps', '--format', '{{.Names}} {{.Pod}} {{.PodName}}'), `one ${id.slice(0, 12)} web`);
    assert.equal(await lab.ok('ps', '-q', '--no-trunc', '--filter', 'pod=web'), one);
    assert.equal(await lab.ok('ps', '-q', '--filter', 'pod=other'), '');
    assert.match((await lab.ok('ps', '--pod')).split('\n')[0] ?? '', /NAMES +POD ID +PODNAME$/);
    assert.equal(
      await lab.ok('inspect', '--format', '{{.Pod}} {{.HostConfig.NetworkMode}} {{.HostConfig.IpcMode}}', 'one'),
      `${id} container:${id} container:${id}`,
    );
    assert.equal(
      await lab.ok(
        'pod',
        'inspect',
        '--format',
        '{{.Id}} {{.State}} {{.NumContainers}} {{.SharedNamespaces}} {{.Labels.a}} {{(index .Containers 1).Name}}',
        'web',
      ),
      `${id} Running 2 [ipc net uts] b one`,
    );
    assert.equal(await lab.ok('inspect', '--format', '{{.Name}}', 'web'), 'web');
    assert.equal((await lab.ok('runtime', 'plan', 'one')).match(/ setns\(/g)?.length, 3);
    // Prepared, and let go afterwards; what fails then is named by the Plan as it was.
    await lab.ok('create', '--pod', 'web', '--name', 'none', 'box', 'no-such-program');
    await lab.ok('init', 'none');
    assert.match(await lab.refused(1, 'start', 'none'), /Cannot execute no-such-program: not found in \$PATH/);
    await lab.ok('rm', 'none');
    assert.match(await lab.refused(1, 'pod', 'rm', 'web'), /^Error: Cannot remove pod web: one runs; stop it first/);
    assert.equal(await lab.ok('pod', 'stop', '-t', '0', 'web'), id);
    assert.equal(await lab.state('web'), 'Exited');
    assert.equal(await lab.ok('pod', 'start', 'web'), id);
    assert.equal(await lab.state('web'), 'Running');
    assert.equal(await lab.ok('exec', 'one', 'hostname'), 'web');
    assert.equal(await lab.ok('pod', 'restart', '-t', '0', 'web'), id);
    await lab.ok('stop', '-t', '0', 'one');
    assert.equal(await lab.state('web'), 'Degraded');
    assert.equal(await lab.ok('pod', 'rm', '--pod-id-file', join(lab.dir, 'id')), id);
    await lab.clean();
  });

  test('names are shared with containers; verbs of containers do not mean pods, nor the other way round', async () => {
    await using lab = new PodLab();
    const id = await lab.ok('pod', 'create', 'both');
    assert.match(
      await lab.refused(125, 'create', '--name', 'both', 'box', 'true'),
      /Cannot use name both: pod [0-9a-f]{12} has it; remove it first \(tare pod rm both\)/,
    );
    await lab.ok('create', '--name', 'box-one', 'box', 'true');
    assert.match(await lab.refused(125, 'pod', 'create', 'box-one'), /container [0-9a-f]{12} has it/);
    for (const verb of ['stop', 'rm', 'start', 'logs', 'exec'])
      assert.match(
        await lab.refused(verb === 'exec' ? 125 : 1, verb, 'both', ...(verb === 'exec' ? ['true'] : [])),
        /Cannot find container both: it is a pod/,
        verb,
      );
    assert.match(await lab.refused(1, 'rm', '-f', id), /remove the pod/);
    assert.match(await lab.refused(125, 'pod', 'start', 'box-one'), /Cannot find pod box-one: it is a container/);
    for (const verb of ['start', 'stop', 'kill', 'pause', 'unpause', 'restart', 'inspect', 'logs', 'top'])
      assert.match(await lab.refused(125, 'pod', verb, 'none'), /Cannot find pod none: no such pod/, verb);
    await lab.refused(1, 'pod', 'rm', 'none');
    await lab.ok('pod', 'rm', '-f', 'none');
    await lab.refused(1, 'pod', 'exists', 'none');
    await lab.ok('pod', 'exists', id.slice(0, 10));
    assert.equal(await lab.ok('pod', 'create', '--replace', '--name', 'both').then((text) => text === id), false);
    await lab.ok('pod', 'rm', '-a');
    await lab.ok('rm', 'box-one');
    await lab.clean();
  });

  test('what only the pod can have is refused, of the pod as of its containers', async () => {
    await using lab = new PodLab();
    await lab.ok('pod', 'create', '--name', 'p');
    for (const flags of [
      ['--network', 'host'],
      ['-p', '80'],
      ['--dns', '1.1.1.1'],
      ['--add-host', 'a:1.1.1.1'],
      ['-h', 'x'],
      ['--shm-size', '1m'],
      ['--userns', 'auto'],
    ])
      assert.match(
        await lab.refused(125, 'run', '--pod', 'p', ...flags, 'box', 'true'),
        /Cannot use .* in pod p: /,
        flags.join(' '),
      );
    assert.match(await lab.refused(125, 'create', '--init-ctr', 'once', 'box', 'true'), /--init-ctr without --pod/);
    for (const [flags, why] of [
      [['--infra-image', 'x'], /without an image/],
      [['--infra-name', 'x'], /pod's name/],
      [['--share', 'user'], /Cannot use --share user/],
      [['--share', 'nothing'], /expected none, or some of/],
      [['--share', 'ipc', '--hostname', 'x'], /do not share uts/],
      [['--share', 'uts', '--network', 'host'], /do not share net/],
      [['--infra=false', '--share', 'net'], /nobody to hold it/],
      [['--share-parent=false', '-m', '64m'], /no cgroup of its own/],
      [['--restart', 'sometimes'], /Cannot use --restart/],
      [['--replace'], /without a name/],
    ] as const)
      assert.match(await lab.refused(125, 'pod', 'create', ...flags), why, flags.join(' '));
    assert.equal((await listPods(lab.engine)).length, 1);
    await lab.ok('pod', 'rm', 'p');
    await lab.clean();
  });

  test('--share: none, some, all; the sandbox reaps in a shared process namespace', async () => {
    await using lab = new PodLab();
    await lab.ok('pod', 'create', '--name', 'apart', '--share', 'none');
    await lab.ok('run', '-d', '--pod', 'apart', '--name', 'a', '-h', 'mine', 'box', 'sleep', '1000');
    assert.equal(await lab.ok('exec', 'a', 'hostname'), 'mine');
    await lab.ok('pod', 'create', '--name', 'all', '--share', '+pid,cgroup');
    await lab.ok('run', '-d', '--pod', 'all', '--name', 'one', 'box', 'sleep', '1000');
    const seen = await lab.ok(
      'run',
      '--rm',
      '--pod',
      'all',
      'box',
      'sh',
      '-c',
      'ps; (sleep 0.2 &); kill -0 1 && echo $$',
    );
    assert.match(seen, /sleep 1000/);
    assert.notEqual(seen.split('\n').at(-1), '1');
    const sandbox = lab.pidOf((await lab.pod('all')).id);
    await until(() => !children(sandbox).some((pid) => !isAlive(pid)), 5000, 'nobody is left unreaped');
    const same = 'net ipc uts pid cgroup';
    assert.equal(
      await lab.ok('exec', 'one', 'sh', '-c', namespaces(same)),
      await lab.ok('run', '--rm', '--pod', 'all', 'box', 'sh', '-c', namespaces(same)),
    );
    await lab.ok('pod', 'create', '--name', 'bare', '--infra=false');
    await lab.ok('run', '-d', '--pod', 'bare', '--name', 'b', 'box', 'sleep', '1000');
    assert.equal(
      await lab.ok(
        'pod',
        'ps',
        '--filter',
        'name=bare',
        '--format',
        '{{.Status}} {{.NumberOfContainers}} {{.InfraID}}.',
      ),
      'Running 1 .',
    );
    await lab.ok('pod', 'stop', '-t', '0', 'bare');
    assert.equal(await lab.state('bare'), 'Exited');
    await lab.ok('pod', 'start', 'bare');
    await lab.ok('pod', 'rm', '-fa');
    await lab.clean();
  });

  test('limits are of the pod’s cgroup, above those of its containers', { skip: hasController('memory') }, async () => {
    await using lab = new PodLab();
    const id = await lab.ok('pod', 'create', '--name', 'small', '-m', '64m', '--pids-limit', '20', '--cpus', '0.5');
    await lab.ok('run', '-d', '--pod', 'small', '--name', 'a', '-m', '32m', 'box', 'sleep', '1000');
    const path = await lab.ok('pod', 'inspect', '--format', '{{.CgroupPath}}', 'small');
    assert.equal(path, `${lab.cgroupParent}/${id}`);
    assert.equal(
      await lab.ok('inspect', '--format', '{{.HostConfig.CgroupPath}}', 'a'),
      `${path}/${(await lab.pod('small')).containers[1]?.id}`,
    );
    assert.equal(
      await lab.ok('pod', 'inspect', '--format', '{{.memory_limit}} {{.pids_limit}} {{.cpu_quota}}', 'small'),
      '67108864 20 50000',
    );
    const limit = ['/sys/fs/cgroup/memory', '/sys/fs/cgroup']
      .flatMap((dir) => ['memory.limit_in_bytes', 'memory.max'].map((file) => join(dir, path, file)))
      .find((file) => existsSync(file));
    assert.equal(readFileSync(limit ?? '', 'utf8').trim(), '67108864');
    const bomb = 'i=0; while [ $i -lt 40 ]; do sleep 30 & i=$((i+1)); done; echo all';
    assert.match((await lab.line('run', '--rm', '--pod', 'small', 'box', 'sh', '-c', bomb)).stderr, /can't fork/);
    assert.match(await lab.ok('pod', 'stats', '--no-stream', 'small'), /-infra .*\n?/);
    await lab.ok('pod', 'rm', '-f', 'small');
    await lab.clean();
  });

  test('kill, pause, unpause, top, logs, stats, prune', { skip: hasController() }, async () => {
    await using lab = new PodLab();
    const id = await lab.ok('pod', 'create', '--name', 'p');
    for (const name of ['a', 'b'])
      await lab.ok('run', '-d', '--pod', 'p', '--name', name, 'box', 'sh', '-c', `echo from ${name}; exec sleep 1000`);
    await lab.ok('pod', 'pause', 'p');
    assert.equal(await lab.state('p'), 'Paused');
    await lab.ok('pod', 'unpause', 'p');
    assert.equal(
      (await lab.ok('pod', 'top', 'p', 'args')).split('\n').filter((line) => line === 'sleep 1000').length,
      2,
    );
    assert.equal(await lab.ok('pod', 'logs', '-n', 'p'), 'a from a\nb from b');
    assert.equal(await lab.ok('pod', 'logs', '-c', 'b', 'p'), 'from b');
    assert.match(await lab.refused(125, 'pod', 'logs', '-c', 'none', 'p'), /Cannot find container none in pod p/);
    assert.equal(
      (await lab.ok('pod', 'stats', '--no-stream', '--format', '{{.Pod}} {{.Name}}', 'p')).split('\n').length,
      3,
    );
    assert.equal(await lab.ok('pod', 'prune', '-f'), '');
    assert.equal(await lab.ok('pod', 'kill', 'p'), id);
    await until(
      () => ['a', 'b'].every((name) => summarize(lab.engine, lab.idOf(name))?.state === 'exited'),
      10_000,
      'all are dead',
    );
    await until(() => summarize(lab.engine, id)?.state === 'exited', 10_000, 'the sandbox, too');
    assert.match(await lab.refused(125, 'pod', 'kill', 'p'), /none of its containers runs/);
    assert.equal(await lab.ok('pod', 'prune', '-f'), id);
    await lab.clean();
  });

  test(
    'pod clone: a pod and containers like others, with other limits',
    { skip: hasController('memory') },
    async () => {
      await using lab = new PodLab();
      const volumes = ['-v', `${lab.dir}:/shared:ro`, '-v', 'data:/fresh'];
      await lab.ok('pod', 'create', '--name', 'p', '-m', '64m', '-l', 'a=b', ...volumes);
      await lab.ok('create', '--pod', 'p', '--name', 'a', '--stop-timeout', '0', 'box', 'sleep', '1000');
      const id = await lab.ok('pod', 'clone', '--start', '-m', '128m', 'p');
      assert.equal(
        await lab.ok(
          'pod',
          'ps',
          '--filter',
          `id=${id}`,
          '--format',
          '{{.Name}} {{.Status}} {{.ContainerNames}} {{.Labels}}',
        ),
        `p-clone Running ${id.slice(0, 12)}-infra,a-clone a=b`,
      );
      assert.equal(
        await lab.ok('pod', 'inspect', '--format', '{{.memory_limit}}', 'p-clone'),
        String(128 * 1024 * 1024),
      );
      // Volumes of the pod are those of its containers, where they have nothing else there.
      await lab.ok('exec', 'a-clone', 'sh', '-c', 'touch /fresh/x; test -d /shared/rootfs');
      assert.equal((await lab.line('exec', 'a-clone', 'touch', '/shared/x')).code, 1);
      const seen = await lab.ok(
        'run',
        '--rm',
        '--pod',
        'p-clone',
        '--tmpfs',
        '/shared',
        'box',
        'ls',
        '/fresh',
        '/shared',
      );
      assert.equal(seen, '/fresh:\nx\n\n/shared:');
      assert.equal(await lab.state('p'), 'Created');
      await lab.ok('pod', 'clone', '--destroy', 'p', 'q');
      assert.match(await lab.refused(125, 'pod', 'clone', 'q', 'p-clone'), /Cannot use name p-clone/);
      assert.deepEqual(
        (await listPods(lab.engine)).map(({ name }) => name),
        ['q', 'p-clone'],
      );
      // What is of a pod is not pruned apart from it.
      await lab.ok('pod', 'stop', 'p-clone');
      await lab.ok('container', 'prune', '-f');
      assert.equal((await lab.pod('p-clone')).containers.length, 2);
      assert.match(await lab.ok('system', 'prune', '-f'), new RegExp(`Deleted Pods:\n${id}`));
      await lab.ok('pod', 'rm', '-fa');
      await lab.ok('volume', 'rm', 'data');
      await lab.clean();
    },
  );

  test('run --pod new:NAME makes the pod, and takes it back when the container cannot be made', async () => {
    await using lab = new PodLab();
    await lab.ok(
      'run',
      '-d',
      '--pod',
      'new:fresh',
      '-h',
      'named',
      '--add-host',
      'db:10.0.0.9',
      '--name',
      'a',
      'box',
      'sleep',
      '1000',
    );
    assert.equal(await lab.ok('exec', 'a', 'sh', '-c', 'hostname; grep db /etc/hosts'), 'named\n10.0.0.9\tdb');
    await lab.refused(127, 'run', '--pod', 'new:other', 'box', 'no-such-program');
    assert.deepEqual(
      (await listPods(lab.engine)).map(({ name }) => name),
      ['fresh'],
    );
    await lab.ok('pod', 'rm', '-f', 'fresh');
    await lab.clean();
  });
});

function children(pid: number): number[] {
  return readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim().split(' ').filter(Boolean).map(Number);
}
