/** What a program does with a container of its own while it runs. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { canRun, Lab } from '../test/engine/lab.ts';
import { isKind, open, type Tare } from './mod.ts';

async function opened(stack: AsyncDisposableStack): Promise<{ lab: Lab; tare: Tare }> {
  const lab = stack.use(new Lab());
  const tare = stack.use(await open(lab.options));
  return { lab, tare };
}

describe('Container', { skip: canRun, concurrency: 1, timeout: 120_000 }, () => {
  test('pause, unpause, rename, update, top, stats', async () => {
    await using stack = new AsyncDisposableStack();
    const { lab, tare } = await opened(stack);
    await using box = await tare.run(lab.source, ['sh', '-c', 'while :; do :; done'], { name: 'before' });
    await box.pause();
    assert.equal(tare.ps()[0]?.state, 'paused');
    await assert.rejects(box.exec(['true']), (error) => isKind(error, 'failed-precondition'));
    await tare.unpause('before');
    await box.rename('after');
    assert.deepEqual([box.name, tare.ps()[0]?.name], ['after', 'after']);
    await tare.rename('after', 'again');
    await box.update({ resources: { pidsLimit: 50 } });
    const { rows } = await box.top(['pid', 'comm']);
    assert.deepEqual(rows, [['1', 'sh']]);
    assert.deepEqual((await tare.top('again', ['pid'])).headings, ['PID']);
    let rounds = 0;
    for await (const sample of box.stats({ intervalMs: 20 })) {
      assert.equal(sample.id, box.id);
      if (sample.cpuPercent > 0 && ++rounds === 3) break;
    }
    for await (const samples of tare.stats([], { intervalMs: 20 })) {
      assert.deepEqual(
        samples.map(({ name, pids }) => [name, pids]),
        [['again', 1]],
      );
      break;
    }
    const { containers } = await tare.diskUsage();
    assert.equal(containers.items[0]?.name, 'again');
  });

  test('stats ends when the container is gone', async () => {
    await using stack = new AsyncDisposableStack();
    const { lab, tare } = await opened(stack);
    const box = await tare.run(lab.source, ['sleep', '1000']);
    let samples = 0;
    for await (const sample of box.stats({ intervalMs: 20 })) {
      samples += sample.up ? 1 : 0;
      if (samples === 1) await box.kill();
    }
    assert.ok(samples >= 1);
    await box.wait();
  });

  test('restart: the same streams go on, wait settles at the end for good, and it is still ours', async () => {
    await using stack = new AsyncDisposableStack();
    const { lab, tare } = await opened(stack);
    const script = 'trap "echo bye; exit 3" TERM; echo up; read line && echo "got $line"; while :; do sleep 0.01; done';
    const box = await tare.run(lab.source, ['sh', '-c', script], { openStdin: true });
    let output = '';
    let heard: () => void = () => {};
    box.stdout.on('data', (chunk: Buffer) => {
      output += chunk.toString();
      heard();
    });
    const until = async (wanted: RegExp): Promise<void> => {
      while (!wanted.test(output)) await new Promise<void>((resolve) => (heard = resolve));
    };
    await until(/up\n/);
    box.stdin.write('one\n');
    await until(/got one\n/);
    const pid = box.pid;
    await box.restart({ timeoutSeconds: 30 });
    assert.notEqual(box.pid, pid);
    await until(/bye\nup\n/);
    box.stdin.write('two\n');
    await until(/got two\n/);
    // One at a time; the second may come before the first has set its trap.
    await Promise.all([box.restart({ timeoutSeconds: 0 }), box.restart({ timeoutSeconds: 0 })]);
    assert.equal(tare.ps()[0]?.state, 'running');
    box.stdin.write('three\n');
    await until(/got three\n/);
    await box.kill('TERM');
    assert.equal((await box.wait()).code, 3);
    assert.deepEqual(await lab.leftovers(), []);
    await assert.rejects(box.restart(), (error) => isKind(error, 'not-found'));
  });

  test('restart: disposal, an abort and the end of the program in the middle of it leave nothing', async () => {
    await using lab = new Lab();
    {
      await using tare = await open(lab.options);
      const box = await tare.run(lab.source, ['sleep', '1000']);
      const restarting = box.restart({ timeoutSeconds: 0 }).catch(() => {});
      await box[Symbol.asyncDispose]();
      await restarting;
      const abort = new AbortController();
      const other = await tare.run(lab.source, ['sleep', '1000'], { signal: abort.signal });
      const again = other.restart({ timeoutSeconds: 0 }).catch(() => {});
      abort.abort();
      await again;
      assert.equal((await other.wait()).signal, 9);
    }
    assert.deepEqual(await lab.leftovers(), []);
  });
});
