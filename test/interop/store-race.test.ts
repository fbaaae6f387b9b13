/** Several processes on one store at the same time, podman among them: no record is lost, and nobody fails for the others' sake. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { canRun } from '../engine/lab.ts';
import { canPodman } from '../image/peer.ts';
import { Storm } from '../image/store-storm.ts';

const ROUNDS = 5;

describe('one store, many processes', { skip: canRun || canPodman, concurrency: 1 }, () => {
  test('four processes pull the same image: one image, its name, its layers once', async () => {
    await using scene = await Storm.open();
    for (let round = 0; round < ROUNDS; round++) {
      const pulls = await Promise.all(
        Array.from({ length: 4 }, () => scene.lab.tare('pull', '-q', `oci:${scene.layout}:v0`)),
      );
      for (const { code, stderr } of pulls) assert.equal(code, 0, stderr);
      assert.equal(new Set(pulls.map(({ stdout }) => stdout)).size, 1);
      const store = await scene.store();
      assert.equal(store.images().length, 2);
      assert.equal(store.imageLayers(store.image('localhost/v0:latest') ?? assert.fail()).length, 3);
      await scene.check();
      await scene.tareDoes('rmi', 'localhost/v0:latest');
    }
    await scene.finish();
  });

  test('pulls against removals by us and by podman: each ends well or with a documented error, and a last pull is whole', async () => {
    await using scene = await Storm.open();
    for (let round = 0; round < ROUNDS; round++) {
      await Promise.all([
        scene.tareDoes('pull', '-q', `oci:${scene.layout}:v0`),
        scene.tareDoes('pull', '-q', `oci:${scene.layout}:v1`),
        scene.tareDoes('rmi', 'localhost/v0:latest'),
        scene.podmanDoes('rmi', 'localhost/v1:latest'),
        scene.podmanDoes('rmi', 'localhost/v0:latest'),
      ]);
      await scene.check();
    }
    for (const name of ['v0', 'v1'])
      assert.equal((await scene.lab.tare('pull', '-q', `oci:${scene.layout}:${name}`)).code, 0);
    assert.equal((await scene.lab.tare('run', '--rm', 'localhost/v1:latest', 'cat', '/own1/0')).code, 0);
    await scene.finish();
  });

  test('names given by many of us to one image, and by podman to another, are all there', async () => {
    await using scene = await Storm.open();
    await scene.tareDoes('pull', '-q', `oci:${scene.layout}:v0`);
    const names = (who: string): string[] => Array.from({ length: 8 }, (_, i) => `localhost/${who}:${i}`);
    // Podman 4 reads an image's names, and writes them later: two of it lose each other's, so it has an image of its own and takes turns.
    const podman = async (): Promise<void> => {
      for (const name of names('podman')) await scene.podmanDoes('tag', 'localhost/v0:latest', name);
    };
    await Promise.all([
      podman(),
      ...names('command').map((name) => scene.tareDoes('tag', scene.steady, name)),
      ...names('library').map(async (name) => (await scene.store()).tag(scene.steady, name)),
    ]);
    const store = await scene.store();
    assert.deepEqual([...(store.image(scene.steady)?.names ?? [])].sort(), [
      ...names('command'),
      ...names('library'),
      scene.steady,
      'localhost/steady:latest',
    ]);
    assert.deepEqual([...(store.image('localhost/v0:latest')?.names ?? [])].sort(), [
      ...names('podman'),
      'localhost/v0:latest',
    ]);
    await scene.finish();
  });
});
