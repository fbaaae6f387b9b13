import assert from 'node:assert/strict';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Readable } from 'node:stream';
import { buffer, text } from 'node:stream/consumers';
import { gzipSync } from 'node:zlib';
import { makeTar } from './archive/_tar.suite.ts';
import { describe, test } from 'node:test';
import { canRun, Lab } from '../test/engine/lab.ts';
import { isKind, LaunchError, open, type Container, type Tare } from './mod.ts';

const MIB = 1024 * 1024;

/** A lab and a Tare on its roots. */
async function opened(stack: AsyncDisposableStack): Promise<{ lab: Lab; tare: Tare }> {
  const lab = stack.use(new Lab());
  const tare = stack.use(await open(lab.options));
  return { lab, tare };
}

const ended = async (box: Container): Promise<{ code: number; out: string; err: string }> => {
  const [out, err] = await Promise.all([text(box.stdout), text(box.stderr)]);
  return { code: (await box.wait()).code, out, err };
};

describe('tare', { skip: canRun, concurrency: 1, timeout: 120_000 }, () => {
  test('run: streams, exit code, environment, user and folder of a rootfs; nothing is left', async () => {
    await using stack = new AsyncDisposableStack();
    const { lab, tare } = await opened(stack);
    const script = 'pwd; id -u; id -g; echo $A; echo err >&2; exit 3';
    const box = await tare.run(lab.source, ['sh', '-c', script], {
      env: ['A=b c'],
      user: 'user:staff',
      workdir: '/data',
    });
    assert.match(box.id, /^[0-9a-f]{64}$/);
    assert.ok(box.pid > 1);
    assert.deepEqual(await ended(box), { code: 3, out: '/data\n1000\n50\nb c\n', err: 'err\n' });
    assert.deepEqual(tare.ps(), []);
    assert.deepEqual(await lab.leftovers(), []);
  });

  test('run: host:, host:/path, rootfs: and bundle: as source', async () => {
    await using stack = new AsyncDisposableStack();
    const { lab, tare } = await opened(stack);
    assert.equal((await ended(await tare.run('host:', ['cat', '/proc/1/comm']))).out, 'cat\n');
    assert.equal((await ended(await tare.run(`host:${lab.rootfs}`, ['cat', '/data/one']))).out, '1\n');
    await ended(await tare.run(lab.source, ['rm', '/data/one']));
    await ended(await tare.run(`rootfs:${lab.rootfs}`, ['sh', '-c', 'echo mine >/data/mine']));
    assert.equal((await ended(await tare.run(lab.source, ['cat', '/data/one', '/data/mine']))).out, '1\nmine\n');
    const bundle = join(lab.dir, 'bundle');
    mkdirSync(bundle);
    const process = {
      args: ['sh', '-c', 'echo $B; cat /data/mine'],
      cwd: '/',
      env: ['PATH=/bin', 'B=bundle'],
      user: { uid: 0, gid: 0 },
    };
    const namespaces = ['pid', 'mount', 'ipc', 'uts', 'network'].map((type) => ({ type }));
    const config = {
      ociVersion: '1.2.0',
      root: { path: lab.rootfs },
      process,
      linux: { namespaces },
      mounts: [{ destination: '/proc', type: 'proc', source: 'proc' }],
    };
    writeFileSync(join(bundle, 'config.json'), JSON.stringify(config));
    assert.deepEqual(await ended(await tare.run(`bundle:${bundle}`)), { code: 0, out: 'bundle\nmine\n', err: '' });
  });

  test('stdin: arrives whole and in order, its end ends the reader; without openStdin there is none', async () => {
    await using stack = new AsyncDisposableStack();
    const { lab, tare } = await opened(stack);
    const box = await tare.run(lab.source, ['sh', '-c', 'seq 1 5; cat'], { openStdin: true });
    const input = Buffer.from(Array.from({ length: 200_000 }, (_, index) => `${index}\n`).join(''));
    box.stdin.end(input);
    const { out } = await ended(box);
    assert.equal(out, `1\n2\n3\n4\n5\n${String(input)}`);
    assert.equal((await ended(await tare.run(lab.source, ['cat']))).out, '');
  });

  test('stdout: 50 MB arrive without loss, and wait() does not settle before they were taken', async () => {
    await using stack = new AsyncDisposableStack();
    const { lab, tare } = await opened(stack);
    const total = 50 * MIB;
    const box = await tare.run(lab.source, ['head', '-c', String(total), '/dev/zero']);
    let bytes = 0;
    let settled = false;
    const done = (async () => {
      for await (const chunk of box.stdout) {
        if (bytes < total / 2) assert.equal(settled, false);
        bytes += (chunk as Uint8Array).length;
      }
    })();
    const { code } = await box.wait();
    settled = true;
    await done;
    assert.deepEqual([code, bytes], [0, total]);
  });

  test('stdout: a reader that waits holds the container back, and memory stays bounded', async () => {
    await using stack = new AsyncDisposableStack();
    const { lab, tare } = await opened(stack);
    const before = process.memoryUsage().rss;
    const box = await tare.run(lab.source, ['sh', '-c', 'head -c 200000000 /dev/zero; echo end >/data/end']);
    await sleep(500);
    assert.equal(tare.ps()[0]?.state, 'running');
    assert.ok(process.memoryUsage().rss - before < 48 * MIB, 'unread output is not hoarded');
    let bytes = 0;
    for await (const chunk of box.stdout) bytes += (chunk as Uint8Array).length;
    assert.equal(bytes, 200_000_000);
    assert.equal((await box.wait()).code, 0);
  });

  test('wait: lets output that nobody reads run off', async () => {
    await using stack = new AsyncDisposableStack();
    const { lab, tare } = await opened(stack);
    const box = await tare.run(lab.source, [
      'sh',
      '-c',
      'head -c 5000000 /dev/zero; head -c 5000000 /dev/zero >&2; exit 4',
    ]);
    assert.deepEqual((await box.wait()).code, 4);
    // Asked for in one breath, output is still read.
    const other = await tare.run(lab.source, ['head', '-c', '3000000', '/dev/zero']);
    const [exit, out] = await Promise.all([other.wait(), text(other.stdout)]);
    assert.deepEqual([exit.code, out.length], [0, 3_000_000]);
  });

  test('exec: streams, exit code, user, kill; its own errors leave the container alone', async () => {
    await using stack = new AsyncDisposableStack();
    const { lab, tare } = await opened(stack);
    await using box = await tare.run(lab.source, ['sleep', '1000']);
    const first = await box.exec(['sh', '-c', 'cat; id -u; echo $A >&2; exit 7'], {
      openStdin: true,
      user: 'user',
      env: ['A=1'],
    });
    first.stdin.end('in\n');
    const [out, err, exit] = await Promise.all([text(first.stdout), text(first.stderr), first.wait()]);
    assert.deepEqual([out, err, exit.code], ['in\n1000\n', '1\n', 7]);
    const sleeper = await box.exec(['sleep', '1000']);
    await sleeper.kill('TERM');
    assert.deepEqual(await sleeper.wait(), { code: 143, signal: 15 });
    await assert.rejects(box.exec(['nope']), (error) => error instanceof LaunchError && error.exitCode === 127);
    await assert.rejects(box.exec(['/etc/passwd']), (error) => error instanceof LaunchError && error.exitCode === 126);
    assert.equal(tare.ps()[0]?.state, 'running');
    await box.kill();
    assert.equal((await box.wait()).signal, 9);
    await assert.rejects(
      box.exec(['true']),
      (error) => isKind(error, 'failed-precondition') || isKind(error, 'not-found'),
    );
  });

  test('exec: large output arrives whole, held back by its reader', async () => {
    await using stack = new AsyncDisposableStack();
    const { lab, tare } = await opened(stack);
    await using box = await tare.run(lab.source, ['sleep', '1000']);
    const before = process.memoryUsage().rss;
    const session = await box.exec(['head', '-c', '100000000', '/dev/zero']);
    await sleep(300);
    assert.ok(process.memoryUsage().rss - before < 48 * MIB, 'unread output is not hoarded');
    let bytes = 0;
    for await (const chunk of session.stdout) bytes += (chunk as Uint8Array).length;
    assert.deepEqual([bytes, (await session.wait()).code], [100_000_000, 0]);
  });

  test('kill: by name and number; one that has ended is no error, a bad name is', async () => {
    await using stack = new AsyncDisposableStack();
    const { lab, tare } = await opened(stack);
    const box = await tare.run(lab.source, ['sh', '-c', 'trap "exit 5" USR1; echo up; while :; do sleep 0.01; done']);
    await new Promise((resolve) => box.stdout.once('data', resolve));
    await assert.rejects(box.kill('NOPE'), (error) => isKind(error, 'invalid'));
    await box.kill('USR1');
    assert.equal((await box.wait()).code, 5);
    await box.kill(9);
  });

  test('signal: aborted before, during the start and during the run', async () => {
    await using stack = new AsyncDisposableStack();
    const { lab, tare } = await opened(stack);
    await assert.rejects(tare.run(lab.source, ['true'], { signal: AbortSignal.abort() }), (error) =>
      isKind(error, 'cancelled'),
    );
    for (const delay of [0, 1, 3, 6]) {
      const abort = new AbortController();
      const start = tare.run(lab.source, ['sleep', '1000'], { signal: abort.signal });
      setTimeout(() => abort.abort(), delay);
      const [result] = await Promise.allSettled([start]);
      if (result.status === 'rejected') assert.ok(isKind(result.reason, 'cancelled'), String(result.reason));
      else assert.equal((await result.value.wait()).signal, 9);
      assert.deepEqual(tare.ps(), []);
    }
    const abort = new AbortController();
    const box = await tare.run(lab.source, ['sleep', '1000'], { signal: abort.signal });
    abort.abort();
    assert.deepEqual([(await box.wait()).signal, tare.ps()], [9, []]);
    assert.deepEqual(await lab.leftovers(), []);
  });

  test('await using: leaving the scope of a container, or of a Tare that starts and runs some, removes them', async () => {
    await using stack = new AsyncDisposableStack();
    const { lab, tare } = await opened(stack);
    {
      await using box = await tare.run(lab.source, ['yes']);
      assert.equal(tare.ps()[0]?.id, box.id);
    }
    assert.deepEqual(await lab.leftovers(), []);
    let late: Promise<PromiseSettledResult<Container>[]>;
    {
      await using other = await open(lab.options);
      await other.run(lab.source, ['yes']);
      await other.run(lab.source, ['sleep', '1000']);
      late = Promise.allSettled([other.run(lab.source, ['sleep', '1000'])]);
      await Promise.resolve();
      stack.defer(() =>
        assert.rejects(other.run(lab.source, ['true']), (error) => isKind(error, 'failed-precondition')),
      );
    }
    assert.equal((await late)[0]?.status, 'rejected');
    assert.deepEqual(await lab.leftovers(), []);
  });

  test('run: typed errors: 127, 126, no such source, bad options', async () => {
    await using stack = new AsyncDisposableStack();
    const { lab, tare } = await opened(stack);
    const launch = (argv: string[], code: number) =>
      assert.rejects(
        tare.run(lab.source, argv),
        (error) => error instanceof LaunchError && error.exitCode === code && /^Cannot /.test(error.message),
      );
    await launch(['nope'], 127);
    await launch(['/etc/passwd'], 126);
    await launch(['/data'], 126);
    await assert.rejects(tare.run('rootfs:/nowhere', ['true']), (error) => isKind(error, 'not-found'));
    await assert.rejects(tare.run('no.such.image:1', ['true'], { pull: 'never' }), (error) =>
      isKind(error, 'not-found'),
    );
    await assert.rejects(tare.run(lab.source, ['true'], { user: 'nobody-here' }), (error) =>
      isKind(error, 'not-found'),
    );
    await assert.rejects(tare.run(lab.source, []), (error) => isKind(error, 'invalid'));
    await assert.rejects(tare.run(lab.source, ['true'], { workdir: 'relative' }), (error) => isKind(error, 'invalid'));
    assert.deepEqual(await lab.leftovers(), []);
  });

  test('two at once: both see both, each removes its own', async () => {
    await using stack = new AsyncDisposableStack();
    const { lab, tare } = await opened(stack);
    const mine = await tare.run(lab.source, ['sleep', '1000'], { name: 'mine', labels: { of: 'one' } });
    {
      await using other = await open(lab.options);
      await other.run(lab.source, ['sleep', '1000'], { name: 'yours' });
      await assert.rejects(other.run(lab.source, ['true'], { name: 'mine' }), (error) =>
        isKind(error, 'already-exists'),
      );
      assert.deepEqual(
        tare.ps().map(({ name }) => name),
        ['yours', 'mine'],
      );
    }
    const [left, ...none] = tare.ps();
    assert.deepEqual(
      [left?.name, left?.state, left?.pid, left?.labels, none],
      ['mine', 'running', mine.pid, { of: 'one' }, []],
    );
  });

  test('run: parallel containers each end with their own output and code', async () => {
    await using stack = new AsyncDisposableStack();
    const { lab, tare } = await opened(stack);
    const runs = Array.from({ length: 12 }, async (_, index) =>
      ended(await tare.run(lab.source, ['sh', '-c', `echo ${index}; exit ${index}`])),
    );
    assert.deepEqual(
      await Promise.all(runs),
      Array.from({ length: 12 }, (_, index) => ({ code: index, out: `${index}\n`, err: '' })),
    );
  });

  test('run: limits hold, and warnings are empty when all could be set', async () => {
    await using stack = new AsyncDisposableStack();
    const { lab, tare } = await opened(stack);
    const box = await tare.run(lab.source, ['sh', '-c', 'sh -c : & sh -c : & sh -c : & sh -c : & wait'], {
      resources: { pidsLimit: 2 },
    });
    const { err } = await ended(box);
    assert.match(err, /can't fork|Resource temporarily unavailable/);
    assert.deepEqual(box.warnings, []);
  });

  test('copyTo, copyFrom, export, commit, import: files and images by streams', async () => {
    await using stack = new AsyncDisposableStack();
    const { lab, tare } = await opened(stack);
    const box = await tare.run(lab.source, ['sleep', '1000'], {
      name: 'box',
      mounts: [{ type: 'tmpfs', destination: '/mnt', options: [] }],
    });
    const tar = makeTar([{ path: 'dir/file', kind: 'file', content: 'through\n', mode: 0o640, uid: 7 }]);
    await box.copyTo('/mnt', Readable.from([tar]));
    await box.copyTo('/tmp', Readable.from([gzipSync(tar)]));
    const cat = await box.exec(['cat', '/mnt/dir/file', '/tmp/dir/file']);
    assert.equal(await text(cat.stdout), 'through\nthrough\n');
    const out = (await buffer(box.copyFrom('/mnt/dir'))).toString('latin1');
    assert.ok(out.includes('dir/\0') && out.includes('dir/file\0') && out.includes('through\n'));
    await assert.rejects(buffer(box.copyFrom('/none')), (error) => isKind(error, 'not-found'));
    await assert.rejects(box.copyTo('/none', Readable.from([tar])), (error) => isKind(error, 'not-found'));
    await tare.copy(
      { kind: 'container', container: 'box', path: '/tmp/dir/file' },
      { kind: 'host', path: join(lab.dir, 'copied') },
    );
    assert.equal(readFileSync(join(lab.dir, 'copied'), 'utf8'), 'through\n');
    // A stream that nobody reads to its end lets the container go.
    const left = box.export();
    await new Promise((resolve) => left.once('data', resolve));
    left.destroy();
    const { imageId, name } = await tare.import(box.export(), {
      name: 'whole',
      changes: ['CMD ["cat", "/tmp/dir/file"]'],
    });
    assert.match(imageId, /^[0-9a-f]{64}$/);
    assert.equal(name, 'localhost/whole:latest');
    assert.equal((await ended(await tare.run('whole'))).out, 'through\n');
    const again = await tare.run('whole', ['sleep', '1000'], { name: 'again' });
    await again.exec(['sh', '-c', 'echo more >>/tmp/dir/file']).then((session) => session.wait());
    assert.deepEqual((await again.commit({ name: 'more' })).warnings, []);
    assert.equal((await ended(await tare.run('more', ['cat', '/tmp/dir/file']))).out, 'through\nmore\n');
    assert.match((await tare.commit('box', { name: 'part' })).warnings.join(), /only what box changed/);
  });
});
