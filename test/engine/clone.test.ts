/** Containers made as others were. */
import assert from 'node:assert/strict';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import {
  cloneContainer,
  createContainer,
  inspectContainer,
  listContainers,
  pullImage,
  startContainer,
  tagImage,
  updateContainer,
  waitContainer,
} from '../../src/engine/mod.ts';
import { readRecord } from '../../src/engine/record.ts';
import { blobsOf, writeLayout } from '../support/image.ts';
import { buildBusybox, noBusybox } from '../support/images.ts';
import { canRun, clear, Lab, read } from './lab.ts';

const skip = canRun;
const MIB = 1024 ** 2;

interface Seen {
  readonly Config: { readonly Labels: object; readonly Env: readonly string[]; readonly Cmd: readonly string[] };
  readonly HostConfig: Readonly<Record<string, unknown>>;
}

test('cloneContainer: another one with the same options, the limits of now and those asked for', { skip }, async () => {
  await using lab = new Lab();
  const { id } = await lab.detached(['sh', '-c', 'echo $A >/data/written; sleep 1000'], {
    name: 'first',
    env: ['A=b'],
    labels: { x: 'y' },
    user: 'user',
    resources: { memoryBytes: 64 * MIB, cpus: 0.5 },
    mounts: [{ type: 'tmpfs', destination: '/data', options: ['mode=1777'] }],
  });
  await updateContainer(lab.engine, id, { resources: { memoryBytes: 90 * MIB, memorySwapBytes: 100 * MIB } });
  const clone = await cloneContainer(lab.engine, 'first', { resources: { cpus: 1, pidsLimit: 20 } });
  assert.equal(clone.name, 'first-clone');
  assert.equal((await cloneContainer(lab.engine, 'first')).name, 'first-clone1');
  const seen = (await inspectContainer(lab.engine, clone.id)) as Seen;
  assert.deepEqual(seen.Config.Labels, { x: 'y' });
  assert.ok(seen.Config.Env.includes('A=b'));
  const { Memory, MemorySwap, NanoCpus, PidsLimit } = seen.HostConfig;
  assert.deepEqual([Memory, MemorySwap, NanoCpus, PidsLimit], [90 * MIB, 100 * MIB, 1e9, 20]);
  await startContainer(lab.engine, clone.id, { attach: false, stdin: false });
  assert.equal(listContainers(lab.engine).filter(({ state }) => state === 'running').length, 2);
  // A clone of a clone is one, too.
  assert.equal((await cloneContainer(lab.engine, 'first-clone', { name: 'third' })).name, 'third');
  await assert.rejects(cloneContainer(lab.engine, 'first', { name: 'third' }), clear('already-exists', /third/));
  const running = clear('failed-precondition', /it is running; stop it first/);
  await assert.rejects(cloneContainer(lab.engine, 'first', { name: 'x', destroy: 'stopped' }), running);
  assert.ok(!listContainers(lab.engine).some(({ name }) => name === 'x'), 'nothing was made');
  await cloneContainer(lab.engine, 'first', { name: 'x', destroy: 'any' });
  assert.ok(!listContainers(lab.engine).some(({ name }) => name === 'first'));
  const { id: brief } = await lab.detached(['sleep', '1000'], { autoRemove: true });
  await assert.rejects(cloneContainer(lab.engine, brief), clear('unsupported', /run with --rm/));
});

test(
  'cloneContainer: the same image, also when its name has moved on; no credentials are kept',
  { skip: skip || noBusybox() },
  async () => {
    await using lab = new Lab();
    const dir = join(lab.dir, 'layout');
    mkdirSync(dir);
    const busybox = buildBusybox();
    writeLayout(dir, blobsOf(busybox), { box: busybox.manifest });
    const { imageId } = await pullImage(lab.engine, `oci:${dir}:box`, {});
    await tagImage(lab.engine, imageId, ['localhost/mine:1']);
    const { id } = await createContainer(lab.engine, {
      source: 'localhost/mine:1',
      argv: ['true'],
      name: 'first',
      registry: { credentials: { username: 'u', password: 'secret-word' } },
    });
    assert.doesNotMatch(read(lab.at(id, 'container.json')), /secret-word/);
    const same = await cloneContainer(lab.engine, id);
    assert.equal(readRecord(lab.engine, same.id).image, 'localhost/mine:1');
    await (await lab.engine.store()).untag('localhost/mine:1');
    const byId = await cloneContainer(lab.engine, id);
    const { source } = readRecord(lab.engine, byId.id);
    assert.ok(source.kind === 'image' && source.imageId === imageId);
    await startContainer(lab.engine, byId.id, { attach: false, stdin: false });
    assert.equal((await waitContainer(lab.engine, byId.id))?.code, 0);
  },
);
