import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, test } from 'node:test';
import { onTerminal, type Step } from './pty.ts';
import { Lab, canRun, launcher } from './tare.ts';

const at = (lab: Lab, args: readonly string[], ...steps: Step[]) =>
  onTerminal([launcher, ...args], steps, { env: lab.env });

describe('tare with containers', { skip: canRun, concurrency: 1 }, () => {
  test('run: streams, exit code, environment, folder', async () => {
    using lab = new Lab();
    assert.deepEqual(await lab.tare(['run', '--rm', 'host:', 'sh', '-c', 'echo out; echo err >&2; exit 3']), {
      code: 3,
      stdout: 'out\n',
      stderr: 'err\n',
    });
    const { stdout } = await lab.tare([
      'run',
      '--rm',
      '-e',
      'A=1',
      '-w',
      '/usr',
      '-h',
      'box',
      'host:',
      'sh',
      '-c',
      'pwd; echo $A; hostname',
    ]);
    assert.equal(stdout, '/usr\n1\nbox\n');
    assert.equal((await lab.tare(['ps', '-aq'])).stdout, '');
  });

  test('run: 127 for no such command, 126 for one that is none, and nothing is left', async () => {
    using lab = new Lab();
    for (const [command, code] of [
      ['no-such-command', 127],
      ['/etc/passwd', 126],
    ] as const) {
      const outcome = await lab.tare(['run', '--cidfile', join(lab.dir, 'cid'), 'host:', command]);
      assert.equal(outcome.code, code);
      assert.match(outcome.stderr, /^Error: .*\n$/);
    }
    assert.equal((await lab.tare(['ps', '-aq'])).stdout, '');
    assert.equal(existsSync(join(lab.dir, 'cid')), false);
  });

  test('run -i: relays input to its end; without -i there is none', async () => {
    using lab = new Lab();
    const input = 'line\n'.repeat(100_000);
    const { stdout } = await lab.tare(['run', '--rm', '-i', 'host:', 'cat'], input);
    assert.equal(stdout.length, input.length);
    assert.equal((await lab.tare(['run', '--rm', 'host:', 'cat'], input)).stdout, '');
  });

  test('run: all of a large output arrives before the end', async () => {
    using lab = new Lab();
    const { stdout } = await lab.tare(['run', '--rm', 'host:', 'head', '-c', '5000000', '/dev/zero']);
    assert.equal(stdout.length, 5_000_000);
  });

  test('run: a reader that leaves ends a throw-away container', async () => {
    using lab = new Lab();
    const child = lab.start(['run', '--rm', 'host:', 'yes']);
    child.stdout.once('data', () => child.stdout.destroy());
    assert.equal(await new Promise((resolve) => child.on('exit', resolve)), 141);
    assert.equal((await lab.tare(['ps', '-aq'])).stdout, '');
  });

  test('run: forwards signals and exits with what comes of them', async () => {
    using lab = new Lab();
    const child = lab.start([
      'run',
      '--rm',
      'host:',
      'sh',
      '-c',
      'trap "echo bye; exit 9" TERM; echo ready; while :; do sleep 0.05; done',
    ]);
    child.stdout.once('data', () => child.kill('SIGTERM'));
    assert.match(await text(child.stdout), /bye/);
    assert.equal(child.exitCode ?? (await new Promise((resolve) => child.on('exit', resolve))), 9);
  });

  test('a detached life: run -d, ps, exec, logs, inspect, stop, wait, start, rm', async () => {
    using lab = new Lab();
    const cid = join(lab.dir, 'cid');
    const script = 'echo started; echo oops >&2; trap "exit 5" TERM; while :; do sleep 0.05; done';
    const started = await lab.tare([
      'run',
      '-d',
      '--name',
      'web',
      '--label',
      'app=x',
      '--cidfile',
      cid,
      'host:',
      'sh',
      '-c',
      script,
    ]);
    assert.match(started.stdout, /^[0-9a-f]{64}\n$/);
    const id = started.stdout.trim();
    assert.equal(readFileSync(cid, 'utf8'), id);
    assert.match((await lab.tare(['run', '--cidfile', cid, 'host:', 'true'])).stderr, /the file exists/);

    assert.match(
      (await lab.tare(['ps'])).stdout,
      /^CONTAINER ID +IMAGE +COMMAND +CREATED +STATUS +PORTS +NAMES\n[0-9a-f]{12} +host: +"sh -c .*Up .*web\n$/,
    );
    assert.equal(
      (await lab.tare(['ps', '--filter', 'label=app=x', '--format', '{{.Names}} {{.State}}'])).stdout,
      'web running\n',
    );
    assert.equal(
      (await lab.tare(['inspect', '-f', '{{.State.Status}} {{.Config.Labels.app}}', 'web'])).stdout,
      'running x\n',
    );

    assert.deepEqual(await lab.tare(['exec', '-e', 'B=2', 'web', 'sh', '-c', 'echo $B; echo e >&2; exit 4']), {
      code: 4,
      stdout: '2\n',
      stderr: 'e\n',
    });
    assert.equal((await lab.tare(['exec', '-i', 'web', 'cat'], 'typed')).stdout, 'typed');
    assert.equal((await lab.tare(['exec', 'web', 'cat'], 'typed')).stdout, '', 'without -i there is no input');
    assert.equal((await lab.tare(['exec', 'web', 'no-such-command'])).code, 127);
    assert.equal((await lab.tare(['exec', '-d', 'web', 'touch', '/made'])).code, 0);

    const logs = await lab.tare(['logs', 'web']);
    assert.deepEqual([logs.stdout, logs.stderr], ['started\n', 'oops\n']);
    assert.match((await lab.tare(['logs', '-t', '--tail', '1', 'web'])).stderr, /^\d{4}-\d\d-\d\dT[\d:.]+Z oops\n$/);
    assert.match((await lab.tare(['rm', 'web'])).stderr, /it is running/);

    assert.equal((await lab.tare(['stop', '-t', '5', 'web'])).stdout, 'web\n');
    assert.equal((await lab.tare(['wait', 'web'])).stdout, '5\n');
    assert.match((await lab.tare(['ps', '-a'])).stdout, /Exited \(5\) .* ago/);
    assert.match((await lab.tare(['diff', 'web'])).stdout, /^A \/made$/m);

    assert.equal((await lab.tare(['start', 'web'])).stdout, 'web\n');
    assert.equal((await lab.tare(['kill', 'web'])).stdout, 'web\n');
    assert.equal((await lab.tare(['wait', 'web'])).stdout, '137\n');
    assert.equal((await lab.tare(['rm', 'web'])).stdout, 'web\n');
    assert.equal((await lab.tare(['ps', '-aq'])).stdout, '');
  });

  test('stop: one that removes itself is gone when stop returns, and its name is free', async () => {
    using lab = new Lab();
    const run = ['run', '-d', '--rm', '--name', 'fleeting', 'host:', 'sleep', '1000'];
    for (let round = 0; round < 5; round++) {
      assert.equal((await lab.tare(run)).code, 0);
      assert.deepEqual(await lab.tare(['stop', '-t', '0', 'fleeting']), { code: 0, stdout: 'fleeting\n', stderr: '' });
      assert.deepEqual(readdirSync(join(lab.env['TARE_ROOT'] ?? '', 'containers')), ['.creating']);
      assert.match((await lab.tare(['stop', 'fleeting'])).stderr, /no such container/);
    }
    assert.equal((await lab.tare(['create', '--rm', '--name', 'fleeting', 'host:', 'true'])).code, 0);
    assert.equal((await lab.tare(['stop', 'fleeting'])).code, 0, 'never started');
    assert.match((await lab.tare(['ps', '-a', '--format', '{{.Names}}'])).stdout, /fleeting/);
    // Its client does not go away: stop does not wait for it for ever.
    const child = lab.start(['run', '--rm', '--name', 'held', 'host:', 'sh', '-c', 'echo ready; sleep 1000']);
    await new Promise((resolve) => child.stdout.once('data', resolve));
    child.kill('SIGSTOP');
    assert.equal((await lab.tare(['stop', '-t', '0', 'held'])).code, 0);
    child.kill('SIGCONT');
    assert.equal(child.exitCode ?? (await new Promise((resolve) => child.on('exit', resolve))), 137);
  });

  test('no signal starts a debugger', async () => {
    using lab = new Lab();
    await lab.tare(['run', '-d', '--name', 'job', 'host:', 'sh', '-c', 'echo ready; sleep 1000']);
    const child = lab.start(['logs', '-f', 'job']);
    await new Promise((resolve) => child.stdout.once('data', resolve));
    const caught = /^SigCgt:\t([0-9a-f]+)$/m.exec(readFileSync(`/proc/${child.pid}/status`, 'utf8'))?.[1] ?? '';
    child.kill('SIGTERM');
    assert.equal(BigInt(`0x${caught}`) & (1n << 9n), 0n, 'SIGUSR1');
  });

  test('create, start -a: output and exit code', async () => {
    using lab = new Lab();
    assert.equal((await lab.tare(['create', '--name', 'job', '-i', 'host:', 'sh', '-c', 'cat; exit 6'])).code, 0);
    assert.match((await lab.tare(['ps', '-a'])).stdout, /Created/);
    assert.deepEqual(await lab.tare(['start', '-ai', 'job'], 'in'), { code: 6, stdout: 'in', stderr: '' });
  });

  test('init: by name, --all, --latest; what it says of containers that cannot be', async () => {
    using lab = new Lab();
    assert.match(
      (await lab.tare(['init', '--latest'])).stderr,
      /Cannot initialize the newest container: there is none/,
    );
    for (const name of ['one', 'two', 'three'])
      assert.equal((await lab.tare(['create', '--name', name, 'host:', 'sh', '-c', 'echo ran; exit 6'])).code, 0);
    assert.deepEqual(await lab.tare(['init', 'one']), { code: 0, stdout: 'one\n', stderr: '' });
    assert.deepEqual(await lab.tare(['container', 'init', '-l']), { code: 0, stdout: 'three\n', stderr: '' });
    assert.deepEqual(await lab.tare(['init', '-a']), { code: 0, stdout: 'two\n', stderr: '' });
    assert.equal((await lab.tare(['ps', '-q'])).stdout, '');
    const listed = await lab.tare(['ps', '-a', '--filter', 'status=initialized', '--format', '{{.Names}} {{.Status}}']);
    assert.equal(listed.stdout, 'three Initialized\ntwo Initialized\none Initialized\n');
    assert.equal((await lab.tare(['inspect', '-f', '{{.State.Status}}', 'one'])).stdout, 'initialized\n');
    assert.deepEqual(await lab.tare(['start', '-a', 'one']), { code: 6, stdout: 'ran\n', stderr: '' });
    const { code, stderr } = await lab.tare(['init', 'two', 'nobody']);
    assert.equal(code, 1);
    assert.match(stderr, /^Error: Cannot find container nobody: no such container\n$/);
    assert.match((await lab.tare(['exec', 'two', 'true'])).stderr, /it is initialized, not running/);
    for (const args of [['-a', '-l'], ['-l', 'two'], ['-a', 'two'], []])
      assert.match((await lab.tare(['init', ...args])).stderr, /^Error: (Cannot use --|A container is needed)/);
    assert.equal((await lab.tare(['stop', 'two'])).code, 0);
    assert.equal((await lab.tare(['rm', 'one', 'two', 'three'])).code, 0);
  });

  test('logs -f ends with the container', async () => {
    using lab = new Lab();
    await lab.tare(['run', '-d', '--name', 'slow', 'host:', 'sh', '-c', 'echo one; sleep 0.5; echo two']);
    assert.equal((await lab.tare(['logs', '-f', 'slow'])).stdout, 'one\ntwo\n');
  });

  test('mounts: -v, --mount, --tmpfs', async () => {
    using lab = new Lab();
    mkdirSync(join(lab.dir, 'data'));
    writeFileSync(join(lab.dir, 'data/file'), 'content\n');
    const line = [
      'run',
      '--rm',
      '-v',
      `${lab.dir}/data:/a:ro`,
      '--mount',
      `type=bind,src=${lab.dir}/data,dst=/b`,
      '--tmpfs',
      '/c:size=1m',
    ];
    const { stdout } = await lab.tare([
      ...line,
      'host:',
      'sh',
      '-c',
      'cat /a/file; echo x >/a/n 2>/dev/null || echo read-only; echo y >/b/n && echo written; df -k /c | tail -1',
    ]);
    assert.match(stdout, /^content\nread-only\nwritten\ntmpfs +1024 /);
    assert.equal(readFileSync(join(lab.dir, 'data/n'), 'utf8'), 'y\n');
  });

  test('run -it: a terminal with our size that follows ours, and is restored', async () => {
    using lab = new Lab();
    const result = await at(
      lab,
      [
        'run',
        '--rm',
        '-it',
        'host:',
        'sh',
        '-c',
        'sleep 0.3; stty size; read line; echo "got $line"; sleep 0.3; stty size; exit 8',
      ],
      ['expect', '31 97'],
      ['resize', 40, 100],
      ['send', 'typed\r'],
      ['expect', 'got typed'],
      ['expect', '40 100'],
    );
    assert.equal(result.failed, null, result.output);
    assert.equal(result.code, 8);
    assert.equal(result.restored, true);
  });

  test('run -it: ctrl-c reaches the program; detach keys leave it running; attach comes back', async () => {
    using lab = new Lab();
    const script = 'trap "echo interrupted" INT; echo ready; while :; do sleep 0.1; echo tick; done';
    const left = await at(
      lab,
      ['run', '-it', '--name', 'shell', '--detach-keys', 'ctrl-a,d', 'host:', 'sh', '-c', script],
      ['expect', 'ready'],
      ['send', '\x03'],
      ['expect', 'interrupted'],
      ['send', '\x01d'],
    );
    assert.equal(left.failed, null, left.output);
    assert.equal(left.code, 0);
    assert.equal(left.restored, true);
    assert.equal((await lab.tare(['ps', '--format', '{{.Names}}'])).stdout, 'shell\n');
    const back = await at(
      lab,
      ['attach', 'shell'],
      ['expect', 'tick'],
      ['send', '\x03'],
      ['expect', 'interrupted'],
      ['send', '\x10\x11'],
    );
    assert.equal(back.failed, null, back.output);
    assert.equal(back.code, 0);
  });

  test('exec -it: a terminal, and the exit code', async () => {
    using lab = new Lab();
    await lab.tare(['run', '-d', '--name', 'base', 'host:', 'sleep', '100']);
    const result = await at(
      lab,
      ['exec', '-it', 'base', 'sh', '-c', 'sleep 0.3; stty size; read x; exit $x'],
      ['expect', '31 97'],
      ['send', '7\r'],
    );
    assert.equal(result.failed, null, result.output);
    assert.equal(result.code, 7);
    assert.equal(result.restored, true);
  });

  test('a closed terminal reaches the program as SIGHUP', async () => {
    using lab = new Lab();
    const result = await at(
      lab,
      [
        'run',
        '--name',
        'hup',
        '-it',
        'host:',
        'sh',
        '-c',
        'trap "exit 11" HUP; echo ready; while :; do sleep 0.05; done',
      ],
      ['expect', 'ready'],
      ['signal', 1],
    );
    assert.equal(result.code, 11, result.output);
    await sleep(50);
    assert.equal((await lab.tare(['wait', 'hup'])).stdout, '11\n');
  });
});
