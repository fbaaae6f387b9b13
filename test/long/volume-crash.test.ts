/** Volumes and kill -9: what is half made is never used, and the next command collects or finishes it. */
import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { createVolume, exportVolume, reconcileAll } from '../../src/engine/mod.ts';
import { holdVolume } from '../../src/engine/volumes/hold-volume.ts';
import { removeVolume } from '../../src/engine/volumes/remove-volume.ts';
import { canRun, outcome, program, slowness } from '../engine/lab.ts';
import { look, seen, VolumeLab } from '../engine/volume-lab.ts';

const skip = canRun;
const FILES = 400;

/** What is in a volume's directory besides what a settled one has, and in the directory of volumes. */
function halves(lab: VolumeLab): string[] {
  const dir = lab.engine.volumesDir;
  const names = existsSync(dir) ? readdirSync(dir).filter((name) => name !== '.creating') : [];
  const known = /^(_data|life|filling|fresh|shared|volume\.json)$/;
  return [
    ...names.filter((name) => name.startsWith('.')),
    ...names
      .filter((name) => !name.startsWith('.'))
      .flatMap((name) => readdirSync(join(dir, name)).filter((part) => !known.test(part))),
  ];
}

/** Starts a command and kills it after a while; false when it was done before. */
async function killed(lab: VolumeLab, afterMs: number, ...args: string[]): Promise<boolean> {
  const child = lab.startTare(args);
  const done = outcome(child);
  const timer = setTimeout(() => child.kill('SIGKILL'), afterMs);
  const { code } = await done;
  clearTimeout(timer);
  return code === null;
}

/** The next commands find nothing any more. */
async function collected(lab: VolumeLab): Promise<void> {
  for (let tries = 0; (await lab.ok('ps', '-aq')) !== ''; tries++) assert.ok(tries < 20, 'it is collected');
}

describe('volumes and kill -9', { skip, concurrency: 1, timeout: 300_000 * slowness }, () => {
  test('killed at any moment of a creation: a volume is filled as a whole, or the next container fills it', async () => {
    await using lab = new VolumeLab();
    const many = Array.from({ length: FILES }, (_, index) => ({
      name: `data/many/${index}`,
      content: String(index),
      uid: 9,
    }));
    await lab.pull('big', { Volumes: { '/data': {} } }, [{ name: 'data/many/', type: 'directory' }, ...many]);
    const count = ['sh', '-c', 'find /data/many -type f -user 9 | wc -l; cat /data/many/77'];
    const start = performance.now();
    await lab.ok('create', '--name', 'whole', '-v', 'whole:/data', 'big', 'true');
    const wholeMs = performance.now() - start;
    let kills = 0;
    for (let round = 0; round < 8; round++) {
      const name = `v${round}`;
      if (
        await killed(lab, (wholeMs * (round + 2)) / 9, 'create', '--name', name, '-v', `${name}:/data`, 'big', 'true')
      )
        kills++;
      assert.equal(
        await lab.ok('run', '--rm', '-v', `${name}:/data`, 'big', ...count),
        `${FILES}\n77`,
        `round ${round}`,
      );
      await lab.tare('rm', '-f', name);
    }
    assert.ok(kills >= 3, `${kills} of 8 were killed in time`);
    for (let round = 0; round < 4; round++)
      await killed(lab, (wholeMs * (round + 2)) / 6, 'run', '--rm', 'big', 'true');
    await lab.ok('rm', '-f', 'whole');
    await lab.ok('volume', 'rm', '-a');
    assert.deepEqual(await lab.volumes(), [], 'nobody owns the anonymous ones of the killed');
    assert.deepEqual(halves(lab), []);
    assert.deepEqual(await lab.leftovers(), []);
  });

  test('what a killed filling left: an unfinished copy is thrown away, a finished one is moved in; what somebody put there stays', async () => {
    await using lab = new VolumeLab();
    await lab.pull();
    await createVolume(lab.engine, { name: 'half' });
    mkdirSync(lab.volume('half', 'copy'));
    writeFileSync(lab.volume('half', 'copy/file'), 'ha');
    assert.equal(await lab.ok('run', '--rm', '-v', 'half:/data', 'v', 'sh', '-c', look), seen);
    // Killed while it moved complete files in: `file` was moved, `sub` not yet, and a container has made a file of its own.
    await createVolume(lab.engine, { name: 'late' });
    mkdirSync(lab.volume('late', 'copied'));
    writeFileSync(lab.volume('late', 'copied/b'), 'b of the image');
    writeFileSync(lab.volume('late', 'copied/c'), 'c of the image');
    writeFileSync(lab.volume('late', '_data/a'), 'moved');
    writeFileSync(lab.volume('late', '_data/c'), 'mine');
    assert.equal(
      await lab.ok('run', '--rm', '-v', 'late:/data', 'v', 'sh', '-c', 'cd /data; cat a b c; ls'),
      'movedb of the imageminea\nb\nc',
    );
    assert.deepEqual(halves(lab), []);
    // Two that come at once: one fills, both see all.
    await createVolume(lab.engine, { name: 'both' });
    const both = await Promise.all(
      Array.from({ length: 5 }, () => lab.ok('run', '--rm', '-v', 'both:/data', 'v', 'sh', '-c', look)),
    );
    assert.deepEqual(new Set(both), new Set([seen]));
    // A volume that had files before anybody mounted it keeps them alone.
    await createVolume(lab.engine, { name: 'mine' });
    writeFileSync(lab.volume('mine', '_data/x'), '');
    assert.equal(await lab.ok('run', '--rm', '-v', 'mine:/data', 'v', 'ls', '/data'), 'x');
    await lab.ok('volume', 'rm', '-a');
    assert.deepEqual(await lab.leftovers(), []);
  });

  test('anonymous volumes and images of a creation that was killed go with it, those of one that removes itself after a reboot too', async () => {
    await using lab = new VolumeLab();
    await lab.pull();
    for (const rm of [[], ['--rm']]) {
      const { signal } = spawnSync(process.execPath, [
        program('dies-creating'),
        JSON.stringify(lab.options),
        'dead',
        'v',
        ...rm,
      ]);
      assert.equal(signal, 'SIGKILL');
      assert.equal(readdirSync(lab.engine.volumesDir).filter((name) => name.length === 64).length, 1);
      await reconcileAll(lab.anotherEngine());
      assert.deepEqual(await lab.volumes(), [], `${rm.join('')} collected`);
    }
    // Before it had a record: the names lead to it.
    const { signal } = spawnSync(process.execPath, [
      program('dies-creating'),
      JSON.stringify(lab.options),
      'dead',
      'v',
      '--rm',
    ]);
    assert.equal(signal, 'SIGKILL');
    const [id = ''] = readdirSync(lab.engine.containersDir).filter((name) => name !== '.creating');
    rmSync(lab.at(id, 'container.json'));
    assert.equal(await lab.ok('ps', '-aq'), '');
    assert.deepEqual(await lab.volumes(), []);

    await lab.ok('run', '-d', '--rm', '--name', 'r', '--mount', 'type=image,src=v,dst=/i', 'v', 'sleep', '1000');
    const [name = ''] = await lab.volumes();
    assert.match(name, /^[0-9a-f]{64}$/);
    const running = (await lab.ok('ps', '-q', '--no-trunc')).trim();
    process.kill(lab.monitorOf(running), 'SIGKILL');
    rmSync(lab.engine.volatileDir, { recursive: true });
    await collected(lab);
    assert.deepEqual(await lab.volumes(), []);
    assert.deepEqual((await lab.anotherEngine().store()).containers(), []);
    // Killed, the machine still up.
    await lab.ok('run', '-d', '--rm', 'v', 'sleep', '1000');
    process.kill(lab.monitorOf(await lab.ok('ps', '-q', '--no-trunc')), 'SIGKILL');
    await collected(lab);
    assert.deepEqual(await lab.volumes(), []);
    assert.deepEqual(await lab.leftovers(), []);
  });

  test('a removal that was killed is finished by the next command; rm -v too', async () => {
    await using lab = new VolumeLab();
    await lab.pull();
    for (let round = 0; round < 6; round++) {
      await createVolume(lab.engine, { name: 'big', ignore: true });
      for (let index = 0; index < 2000; index++) writeFileSync(lab.volume('big', `_data/${index}`), '');
      await killed(lab, 40 + 25 * round, 'volume', 'rm', 'big');
      const left = await lab.volumes();
      if (left.length > 0) assert.equal(readdirSync(lab.volume('big', '_data')).length, 2000, 'all of it, or nothing');
      assert.deepEqual(existsSync(lab.engine.trashDir) ? readdirSync(lab.engine.trashDir) : [], []);
    }
    await lab.tare('volume', 'rm', '-f', 'big');
    await lab.ok('create', '--name', 'c', 'v', 'true');
    for (let round = 0; round < 5; round++) {
      await killed(lab, 30 + 15 * round, 'rm', '-v', 'c');
      await lab.ok('ps', '-a');
      if ((await lab.ok('ps', '-aq')) === '') break;
      assert.equal((await lab.volumes()).length, 1, 'a container that is there has its volume');
    }
    await lab.tare('rm', '-v', 'c');
    assert.deepEqual(await lab.volumes(), []);
    mkdirSync(lab.volume('.new-0123456789abcdef', '_data'), { recursive: true });
    await lab.ok('volume', 'ls');
    assert.deepEqual(halves(lab), []);
    assert.deepEqual(await lab.leftovers(), []);
  });

  test('a disk that is full: the error says which volume, and half of it is no more', async () => {
    const small = mkdtempSync(join(tmpdir(), 'tare-small-'));
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=2m', 'tmpfs', small]);
    try {
      await using lab = new VolumeLab(join(small, 'root'));
      await lab.pull('v', { Volumes: { '/data': {} } }, [{ name: 'data/large', content: 'x'.repeat(3_000_000) }]);
      for (const more of [['-v', 'full:/data'], []])
        assert.match(
          await lab.fails('run', '--rm', ...more, 'v', 'true'),
          /^Error: Cannot fill volume \w+ with what the image has at \/data: write "large": .*ENOSPC/,
        );
      assert.deepEqual(halves(lab), []);
      assert.deepEqual(await lab.volumes(), ['full']);
      assert.equal(await lab.ok('volume', 'inspect', '-f', '{{.NeedsCopyUp}}', 'full'), 'true');
      await lab.ok('volume', 'rm', 'full');
      assert.deepEqual(await lab.leftovers(), []);
    } finally {
      execFileSync('umount', [small]);
      rmSync(small, { recursive: true });
    }
  });

  test('a damaged volume is said to be so by who wants it, and keeps nobody from the others', async () => {
    await using lab = new VolumeLab();
    await lab.pull();
    for (const name of ['good', 'f'.repeat(64)]) await createVolume(lab.engine, { name });
    writeFileSync(lab.volume('f'.repeat(64), 'volume.json'), '{');
    mkdirSync(lab.volume('odd', 'below'), { recursive: true });
    mkdirSync(lab.volume('empty'));
    assert.deepEqual(await lab.volumes(), ['good']);
    assert.match(await lab.fails('volume', 'inspect', 'f'.repeat(64)), /its volume.json is not JSON/);
    assert.match(await lab.fails('run', '--rm', '-v', `${'f'.repeat(64)}:/x`, 'v', 'true'), /volume.json is not JSON/);
    assert.match(await lab.fails('run', '--rm', '-v', 'odd:/x', 'v', 'true'), /its directory is damaged/);
    await lab.ok('run', '--rm', '-v', 'empty:/x', 'v', 'true');
    await lab.ok('volume', 'rm', 'f'.repeat(64), 'good', 'empty');
    rmSync(lab.volume('odd'), { recursive: true });
    // Who died while it was made, or after, uses none.
    const { signal } = spawnSync(process.execPath, [
      program('dies-creating'),
      JSON.stringify(lab.options),
      'dead',
      'v',
    ]);
    assert.equal(signal, 'SIGKILL');
    const [anonymous = ''] = readdirSync(lab.engine.volumesDir).filter((name) => name.length === 64);
    await assert.rejects(removeVolume(lab.engine, anonymous), /no such volume/, 'it went with its container');
    await lab.ok('create', '--name', 'c', '-v', 'lent:/lent', 'v', 'true');
    rmSync(lab.volume('lent'), { recursive: true });
    assert.match(
      await lab.fails('run', '--rm', '--volumes-from', 'c', 'v', 'true'),
      /volume lent of another container: it was removed/,
    );
    await lab.ok('rm', '-v', 'c');
    assert.deepEqual(await lab.leftovers(), []);
  });

  test('who holds a volume keeps it from removal until it is let go or dies', async () => {
    await using lab = new VolumeLab();
    await createVolume(lab.engine, { name: 'held' });
    const held = await holdVolume(lab.engine, 'held');
    assert.ok(held !== undefined);
    const removal = removeVolume(lab.engine, 'held');
    await sleep(100);
    assert.ok(existsSync(lab.volume('held')));
    // Another of that name, while somebody waits for the first.
    held.close();
    await removal;
    assert.equal(await holdVolume(lab.engine, 'held'), undefined);
    await createVolume(lab.engine, { name: 'held' });
    const stream = exportVolume(lab.engine, 'held');
    await stream.next();
    assert.equal(JSON.parse(readFileSync(lab.volume('held', 'volume.json'), 'utf8')).name, 'held');
    await stream.return();
    await removeVolume(lab.engine, 'held');
    assert.deepEqual(await lab.leftovers(), []);
  });
});
