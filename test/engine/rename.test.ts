/** Names that move: one container has one name at every moment, whoever is killed. */
import assert from 'node:assert/strict';
import { mkdirSync, readdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import {
  createContainer,
  listContainers,
  pullImage,
  reconcileAll,
  removeContainer,
  renameContainer,
  resolveContainer,
  stopContainer,
} from '../../src/engine/mod.ts';
import { beginChange } from '../../src/engine/change.ts';
import { readRecord } from '../../src/engine/record.ts';
import { isKind } from '../../src/base/errors.ts';
import { blobsOf, writeLayout } from '../support/image.ts';
import { buildBusybox, noBusybox } from '../support/images.ts';
import { canRun, clear, Lab, outcome, until } from './lab.ts';

const skip = canRun;
const created = async (lab: Lab, name: string): Promise<string> =>
  (await createContainer(lab.engine, { source: lab.source, argv: ['true'], name })).id;
const finds = (lab: Lab, name: string): string | undefined => {
  try {
    return resolveContainer(lab.anotherEngine(), name);
  } catch (error) {
    if (isKind(error, 'not-found')) return undefined;
    throw error;
  }
};

test('renameContainer: running or not, the new name leads to it and the old one is free', { skip }, async () => {
  await using lab = new Lab();
  const { id } = await lab.detached(['sleep', '1000'], { name: 'old' });
  await renameContainer(lab.engine, 'old', 'new');
  assert.deepEqual([finds(lab, 'old'), finds(lab, 'new')], [undefined, id]);
  assert.equal(listContainers(lab.engine)[0]?.name, 'new');
  const second = await created(lab, 'old');
  await assert.rejects(renameContainer(lab.engine, 'old', 'new'), clear('already-exists', new RegExp(id.slice(0, 12))));
  await assert.rejects(renameContainer(lab.engine, 'new', 'new'), clear('invalid', /its name already/));
  await assert.rejects(renameContainer(lab.engine, 'new', '../x'), clear('invalid', /names match/));
  await assert.rejects(renameContainer(lab.engine, 'nobody', 'x'), clear('not-found', /no such container/));
  assert.deepEqual([finds(lab, 'old'), finds(lab, 'new')], [second, id]);
  await stopContainer(lab.engine, 'new', { timeoutSeconds: 0 });
  await renameContainer(lab.engine, 'new', 'third');
  for (const name of ['third', 'old']) await removeContainer(lab.engine, name);
  assert.deepEqual(await lab.leftovers(), []);
});

test(
  'renameContainer: of many that want one name one gets it; two may not swap, and neither waits for ever',
  { skip },
  async () => {
    await using lab = new Lab();
    const names = ['one', 'two', 'three', 'four'];
    for (const name of names) await created(lab, name);
    const all = await Promise.all(names.map((name) => outcome(lab.startTare(['rename', name, 'wanted']))));
    assert.deepEqual(all.map(({ code }) => code).sort(), [0, 1, 1, 1]);
    for (const { code, stderr } of all)
      if (code !== 0) assert.match(stderr, /^Error: Cannot use name wanted: container /);
    assert.equal(listContainers(lab.engine).filter(({ name }) => name === 'wanted').length, 1);
    const [first = '', second = ''] = names.filter((name) => finds(lab, name) !== undefined);
    for (let round = 0; round < 10; round++) {
      const results = await Promise.allSettled([
        renameContainer(lab.engine, first, second),
        renameContainer(lab.anotherEngine(), second, first),
      ]);
      for (const result of results)
        assert.ok(result.status === 'rejected' && isKind(result.reason, 'already-exists'), JSON.stringify(result));
    }
  },
);

test(
  'renameContainer: what a killed one left is settled by whoever wants the name, and by a clean-up',
  { skip },
  async () => {
    await using lab = new Lab();
    const id = await created(lab, 'first');
    const link = (name: string): void => symlinkSync(id, join(lab.engine.namesDir, name));
    // Killed after the reservation: it has its old name.
    (await beginChange(lab.engine, id, 'rename'))[Symbol.dispose]();
    link('second');
    assert.deepEqual([finds(lab, 'first'), finds(lab, 'second')], [id, undefined]);
    const other = await created(lab, 'second');
    assert.deepEqual([finds(lab, 'first'), finds(lab, 'second')], [id, other]);
    // Killed after the record was written: it has the new one.
    using change = await beginChange(lab.engine, id, 'rename');
    link('third');
    change.writeRecord({ ...readRecord(lab.engine, id), name: 'third' });
    assert.deepEqual([finds(lab, 'first'), finds(lab, 'third')], [undefined, id]);
    // While it is at it nobody else takes either name.
    await assert.rejects(created(lab, 'first'), clear('already-exists', /first/));
    await assert.rejects(created(lab, 'third'), clear('already-exists', /third/));
    change[Symbol.dispose]();
    writeFileSync(lab.at(id, 'container.json.next'), '{"half');
    await reconcileAll(lab.engine);
    assert.deepEqual(readdirSync(lab.engine.namesDir).sort(), ['second', 'third']);
    await renameContainer(lab.engine, 'third', 'first');
    await renameContainer(lab.engine, 'first', 'third');
    link('too-many');
    for (const name of ['second', 'third']) await removeContainer(lab.engine, name);
    assert.deepEqual(await lab.leftovers(), []);
  },
);

test('tare rename, killed at any moment: one name leads to the container, the others are free', { skip }, async () => {
  await using lab = new Lab();
  const { id } = await lab.detached(['sleep', '1000'], { name: 'n0' });
  let name = 'n0';
  for (let round = 1; round <= 20; round++) {
    const next = `n${round}`;
    const renaming = lab.startTare(['rename', id, next]);
    setTimeout(() => renaming.kill('SIGKILL'), 25 + round * 3);
    await outcome(renaming);
    const now = listContainers(lab.engine)[0]?.name ?? '';
    assert.ok(now === name || now === next, now);
    assert.deepEqual([finds(lab, now), finds(lab, now === name ? next : name)], [id, undefined]);
    name = now;
  }
  await removeContainer(lab.engine, name, { force: true });
  assert.deepEqual(await lab.leftovers(), []);
});

test('renameContainer: one that removes itself leaves no name behind', { skip }, async () => {
  await using lab = new Lab();
  const attached = outcome(
    lab.startTare(['run', '--rm', '--name', 'brief', `--rootfs=${lab.rootfs}:O`, 'sleep', '1000']),
  );
  await until(() => listContainers(lab.engine)[0]?.state === 'running', 10_000, 'it runs');
  await renameContainer(lab.engine, 'brief', 'short');
  await stopContainer(lab.engine, 'short', { timeoutSeconds: 0 });
  assert.equal((await attached).code, 137);
  assert.deepEqual(await lab.leftovers(), []);
});

test('renameContainer: podman sees the new name in the store', { skip: skip || noBusybox() }, async () => {
  await using lab = new Lab();
  const dir = join(lab.dir, 'layout');
  const busybox = buildBusybox();
  mkdirSync(dir);
  writeLayout(dir, blobsOf(busybox), { box: busybox.manifest });
  await pullImage(lab.engine, `oci:${dir}:box`, {});
  const source = (await lab.engine.store()).images()[0]?.id ?? '';
  const { id } = await createContainer(lab.engine, { source, argv: ['true'], name: 'before' });
  const { id: other } = await createContainer(lab.engine, { source, argv: ['true'], name: 'other' });
  await renameContainer(lab.engine, 'before', 'after');
  const store = await lab.anotherEngine().store();
  assert.deepEqual(store.container(id)?.names, ['after']);
  await assert.rejects(store.renameContainer(other, 'after'), clear('already-exists', /of the image store has it/));
  assert.deepEqual(store.container(other)?.names, ['other']);
});
