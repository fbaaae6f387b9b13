/** `--userns auto` of tare and podman on one store: they give no id twice. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { canRun } from '../engine/lab.ts';
import { FIRST, type Ids, RootLab } from '../engine/root-lab.ts';
import { canPodman, peerLine } from '../image/peer.ts';
import { canBeUser } from '../rootless/lab.ts';

const skip = canRun || canBeUser || canPodman;

describe('--userns auto of tare and podman on one store', { skip, concurrency: 1, timeout: 240_000 }, () => {
  test('each leaves the ids alone that the other has given, also when both give some at once', async () => {
    await using lab = new RootLab();
    const image = await lab.pull();
    const podman = async (...args: string[]): Promise<string> => {
      const { code, stdout, stderr } = await lab.exec(peerLine(lab, 'podman', ...args));
      assert.equal(code, 0, `podman ${args.join(' ')}: ${stderr}`);
      return stdout.trim();
    };
    const theirs = async (name: string): Promise<readonly string[]> =>
      (JSON.parse(await podman('inspect', '--format', '{{json .HostConfig.IDMappings}}', name)) as Ids).UidMap;
    const ours = async (name: string): Promise<readonly string[]> => (await lab.ids(name)).UidMap;

    await lab.ok('create', '--name', 'a', '--userns', 'auto:size=1000', image, 'true');
    await podman('create', '--name', 'b', '--userns', 'auto:size=1000', image, 'true');
    await lab.ok('create', '--name', 'c', '--userns', 'auto:size=1000', image, 'true');
    assert.deepEqual(await ours('a'), [`0:${FIRST}:1000`]);
    assert.deepEqual(await theirs('b'), [`0:${FIRST + 1000}:1000`]);
    assert.deepEqual(await ours('c'), [`0:${FIRST + 2000}:1000`]);

    const many = [0, 1, 2, 3];
    await Promise.all(
      many.flatMap((n) => [
        lab.ok('create', '--name', `ours${n}`, '--userns', 'auto:size=1000', n === 3 ? lab.source : image, 'true'),
        podman('create', '--name', `theirs${n}`, '--userns', 'auto:size=1000', image, 'true'),
      ]),
    );
    const all = await Promise.all(many.flatMap((n) => [ours(`ours${n}`), theirs(`theirs${n}`)]));
    const firsts = all.flat().map((text) => Number(text.split(':')[1]));
    assert.equal(new Set(firsts.map((first) => Math.floor((first - FIRST) / 1000))).size, firsts.length);
    assert.ok(firsts.every((first) => first >= FIRST + 3000 && (first - FIRST) % 1000 === 0));

    await podman('rm', 'b');
    await lab.ok('create', '--name', 'd', '--userns', 'auto:size=1000', image, 'true');
    assert.deepEqual(await ours('d'), [`0:${FIRST + 1000}:1000`], 'what podman gave back');
    // Podman reads the container, and takes its writable layer for what it is.
    await lab.ok('run', '--name', 'e', '--userns', 'auto:size=2001', image, 'touch', '/made');
    const mounted = await podman('mount', 'e');
    const seen = await lab.exec(['stat', '-c', '%u', `${mounted}/made`, `${mounted}/top`]);
    const first = Number((await ours('e'))[0]?.split(':')[1]);
    assert.equal(seen.stdout, `${first}\n${first + 2000}\n`);
    await podman('umount', 'e');
    assert.equal(await lab.ok('run', '--rm', '--userns', 'auto', image, 'stat', '-c', '%u', '/top'), '2000');
    await podman('rm', '-f', ...many.map((n) => `theirs${n}`));
  });
});
