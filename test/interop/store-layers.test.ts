/** The same layers through the store and through skopeo: the same are taken, with the same tree, the same diffID, and the same tar again. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, lstatSync, mkdirSync, readdirSync, readFileSync, readlinkSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { gunzipSync } from 'node:zlib';
import { memoryDir } from '../../src/archive/_attack.suite.ts';
import { hostileLayers } from '../../src/archive/_hostile.suite.ts';
import { randomTree, rebuilt } from '../../src/archive/_trees.suite.ts';
import { messageOf } from '../../src/base/errors.ts';
import { addImage, imageOfTars, sha256 } from '../../src/storage/_store.suite.ts';
import { Store, type ImageRecord } from '../../src/storage/mod.ts';
import { getXattr, listXattrs } from '../../src/sys/xattr.ts';
import { O_DIRECTORY, O_RDONLY, openat2, openDirectory } from '../../src/sys/open.ts';
import { blobsOf, buildImage, writeLayout } from '../support/image.ts';
import { unmountBelow } from '../support/mounts.ts';
import { needs } from '../support/needs.ts';

const skip = needs.root() || needs.program('skopeo');
const seed = Number(process.env['TARE_SEED'] ?? Date.now() % 1_000_000);

interface Peers extends AsyncDisposable {
  readonly ours: Store;
  readonly theirs: Store;
  /** Copies an image of these layers into the other store with skopeo; undefined when it refuses, with its words on `said`. */
  skopeo(tars: readonly Buffer[]): ImageRecord | undefined;
  said: string;
  readonly dir: string;
}

/** Two stores in memory: ours, and one that only skopeo writes to. */
async function peers(): Promise<Peers> {
  const dir = memoryDir('layers');
  const roots = (name: string): { graphRoot: string; runRoot: string } => ({
    graphRoot: join(dir, name),
    runRoot: join(dir, `${name}-run`),
  });
  const [ours, theirs] = [await Store.open(roots('ours')), await Store.open(roots('theirs'))];
  const { graphRoot, runRoot } = roots('theirs');
  let count = 0;
  const result: Peers = {
    ours,
    theirs,
    dir,
    said: '',
    skopeo(tars) {
      const layout = join(dir, `layout-${count++}`);
      const image = buildImage({ layers: tars, config: { Labels: { n: String(count) } } });
      writeLayout(layout, blobsOf(image), { x: image.manifest });
      const name = `localhost/x:${count}`;
      const argv = [
        '--insecure-policy',
        'copy',
        '-q',
        `oci:${layout}:x`,
        `containers-storage:[overlay@${graphRoot}+${runRoot}]${name}`,
      ];
      const { status, stderr } = spawnSync('skopeo', argv, {
        encoding: 'utf8',
        timeout: 60_000,
        killSignal: 'SIGKILL',
      });
      result.said = stderr;
      return status === 0 ? (theirs.image(name) ?? assert.fail('skopeo wrote no image')) : undefined;
    },
    async [Symbol.asyncDispose]() {
      unmountBelow(dir);
      rmSync(dir, { recursive: true, force: true });
    },
  };
  return result;
}

/** One line for each node below `top`: everything that an image determines. Directories that no entry described have no time of the image's. */
function tree(top: string, since: number): string[] {
  const lines: string[] = [];
  const firsts = new Map<bigint, string>();
  using root = openDirectory(top);
  const visit = (path: string): void => {
    using dir = openat2(root, Buffer.from(path === '' ? '.' : path, 'latin1'), { flags: O_RDONLY | O_DIRECTORY });
    for (const name of readdirSync(`/proc/self/fd/${dir.number}`, { encoding: 'latin1' }).sort()) {
      const at = Buffer.from(`/proc/self/fd/${dir.number}/${name}`, 'latin1');
      const child = path === '' ? name : `${path}/${name}`;
      const stat = lstatSync(at, { bigint: true });
      const first = firsts.get(stat.ino);
      if (first === undefined) firsts.set(stat.ino, child);
      const target = stat.isSymbolicLink() ? readlinkSync(at, 'latin1') : '';
      const content = stat.isFile() ? sha256(readFileSync(at)) : '';
      // Go's tools take no time before 1970.
      const time = Number(stat.mtimeMs) >= since ? 'now' : String(stat.mtimeNs < 0n ? 0n : stat.mtimeNs);
      const isText = Buffer.from(Buffer.from(name, 'latin1').toString()).equals(Buffer.from(name, 'latin1'));
      const target2 = { dir, name: Buffer.from(name, 'latin1').toString() };
      const attributes =
        isText && (stat.isFile() || stat.isDirectory())
          ? listXattrs(target2)
              .sort()
              .map((key) => `${key}=${getXattr(target2, key)?.toString('hex') ?? ''}`)
              .filter((text) => !text.endsWith('=')) // Go's tools drop empty ones.
          : [];
      lines.push(
        JSON.stringify(
          [
            child,
            stat.mode.toString(8),
            stat.uid,
            stat.gid,
            stat.rdev,
            stat.isFile() ? stat.size : 0,
            first ?? '',
            time,
            target,
            content,
            attributes,
          ],
          (_, value: unknown) => (typeof value === 'bigint' ? String(value) : value),
        ),
      );
      if (stat.isDirectory()) visit(child);
    }
  };
  visit('');
  return lines;
}

/** Asserts that both stores have the layer alike, and that our reader makes the tar of both again. */
async function assertAlike(
  { ours, theirs }: Peers,
  a: ImageRecord,
  b: ImageRecord,
  tars: readonly Buffer[],
  since: number,
  what: string,
): Promise<void> {
  const [mine, other] = [ours.imageLayers(a), theirs.imageLayers(b)];
  for (const [i, tar] of [...tars].reverse().entries()) {
    const [one, two] = [mine[i] ?? assert.fail(), other[i] ?? assert.fail()];
    assert.deepEqual([one.id, one.diffId, one.sizeBytes], [two.id, two.diffId, two.sizeBytes], what);
    assert.deepEqual(tree(ours.diffPath(one.id), since), tree(theirs.diffPath(two.id), since), what);
    const split = gunzipSync(readFileSync(ours.tarSplitPath(one.id))).toString();
    assert.ok((await rebuilt(ours.diffPath(one.id), split)).equals(tar), `${what}: our tar-split`);
  }
}

describe('layers, beside skopeo', { skip, concurrency: 1 }, () => {
  test('skopeo refuses what we refuse, except where we are stricter', async () => {
    await using both = await peers();
    mkdirSync(join(both.dir, 'outside'));
    for (const [what, layer] of Object.entries(hostileLayers(join(both.dir, 'outside')))) {
      if (layer.refused === undefined || layer.big === true) continue;
      const taken = both.skopeo([layer.tar()]) !== undefined;
      assert.equal(taken, layer.podman === 'takes', `${what}: ${both.said}`);
    }
  });

  test('odd layers that are taken look the same on disk, and come out as the same tar through skopeo too', async () => {
    await using both = await peers();
    const since = Date.now() - 1000;
    for (const [what, layer] of Object.entries(hostileLayers(join(both.dir, 'outside')))) {
      if (layer.refused !== undefined || layer.big === true) continue;
      const tar = layer.tar();
      const theirs = both.skopeo([tar]);
      assert.equal(theirs === undefined, layer.podman === 'refuses', `${what}: ${both.said}`);
      const ours = await addImage(both.ours, imageOfTars([tar], what), ['localhost/odd:1']).catch((error: unknown) =>
        assert.fail(`${what}: ${messageOf(error)}`),
      );
      if (theirs !== undefined && layer.podman === undefined) await assertAlike(both, ours, theirs, [tar], since, what);
      // It looks for such a file outside of the layer, in its own layers too.
      if (what !== 'an absolute symlink inside the layer as parent') assertSkopeoReads(both, tar, what);
    }
  });

  test(`random trees look the same on disk (TARE_SEED=${seed})`, async () => {
    await using both = await peers();
    const since = Date.now() - 1000;
    const tars = Array.from({ length: 12 }, (_, i) => randomTree(seed + i, false).tar);
    const theirs = both.skopeo(tars) ?? assert.fail(both.said);
    const ours = await addImage(both.ours, imageOfTars(tars), ['localhost/odd:1']);
    await assertAlike(both, ours, theirs, tars, since, `TARE_SEED=${seed}`);
    for (const tar of tars) assertSkopeoReads(both, tar, `TARE_SEED=${seed}`);
  });
});

/** Skopeo makes the tar again from our tar-split and our files. */
function assertSkopeoReads({ dir, ours }: Peers, tar: Buffer, what: string): void {
  const out = join(dir, 'out');
  if (!existsSync(join(out, sha256(tar).slice(7)))) {
    rmSync(out, { recursive: true, force: true });
    const source = `containers-storage:[overlay@${ours.graphRoot}+${join(dir, 'ours-run')}]localhost/odd:1`;
    const { status, stderr } = spawnSync('skopeo', ['--insecure-policy', 'copy', '-q', source, `dir:${out}`], {
      encoding: 'utf8',
    });
    assert.equal(status, 0, `${what}: ${stderr}`);
  }
  assert.ok(readFileSync(join(out, sha256(tar).slice(7))).equals(tar), what);
}
