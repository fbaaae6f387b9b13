import { existsSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { tarHeader, tarPadding, TAR_END } from '../../src/archive/mod.ts';
import { createHash } from 'node:crypto';
import type { DiffId } from '../../src/spec/digest.ts';
import { Store } from '../../src/storage/mod.ts';
import type { Case, Contender } from '../case.ts';
import type { Lab } from '../lab.ts';

const IMAGES = 500;
const LAYERS = 4;

/** `run` of the busybox image in a store that has `images` others. */
function running(name: string, place: string, images: number, subject = false): Contender {
  return {
    name,
    subject,
    async prepare(lab) {
      const tare = lab.tare(place);
      const { storageRoot, storageRunRoot } = lab.tareRoots(place);
      mkdirSync(join(lab.dir, place), { recursive: true });
      if (images > 0 && !existsSync(storageRoot))
        await fill(await Store.open({ graphRoot: storageRoot, runRoot: storageRunRoot }), images, lab);
      const id = await lab.run([...tare, 'pull', '-q', `oci:${(await lab.image()).layout}`]);
      const run = [...tare, 'run', '--rm', '--network', 'none', id];
      await lab.verify(run);
      return () => lab.timer.milliseconds([...run, 'true']);
    },
  };
}

/** Images of four layers with one small file each. */
async function fill(store: Store, images: number, lab: Lab): Promise<void> {
  const sha256 = (bytes: Uint8Array): string => `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
  for (let n = 0; n < images; n++) {
    lab.signal.throwIfAborted();
    const tars = Array.from({ length: LAYERS }, (_, layer) => tarOf(`file-${n}-${layer}`));
    const layers = await Promise.all(
      tars.map(async (tar) => {
        await using writer = await store.stageLayer();
        await writer.write(tar);
        return await writer.finish();
      }),
    );
    const diffIds = tars.map((tar) => sha256(tar) as DiffId);
    const config = Buffer.from(
      JSON.stringify({ architecture: 'amd64', os: 'linux', config: {}, rootfs: { type: 'layers', diff_ids: diffIds } }),
    );
    const manifest = Buffer.from(
      JSON.stringify({
        schemaVersion: 2,
        mediaType: 'application/vnd.oci.image.manifest.v1+json',
        config: { mediaType: 'application/vnd.oci.image.config.v1+json', digest: sha256(config), size: config.length },
        layers: tars.map((tar) => ({
          mediaType: 'application/vnd.oci.image.layer.v1.tar',
          digest: sha256(tar),
          size: tar.length,
        })),
      }),
    );
    await store.commitImage({ layers, config, manifest, names: [`registry.example/filler/image-${n}:latest`] });
  }
}

function tarOf(name: string): Buffer {
  const content = Buffer.from(name);
  const header = tarHeader({ path: name, kind: 'file', sizeBytes: content.length });
  return Buffer.concat([header, content, tarPadding(content.length), TAR_END]);
}

/** A start must not depend on what else is in the store. */
export const largeStore: Case = {
  name: 'large-store',
  title: `run --rm --network none IMAGE true, with ${IMAGES} other images of ${LAYERS} layers in the store`,
  unit: 'ms',
  contenders: [
    running('tare, large store', 'store-large', IMAGES, true),
    running('tare, empty store', 'store-empty', 0),
  ],
  goals: [
    {
      text: 'tare, large store ≤ 1.10 × empty',
      holds: (median) => ({ value: median('tare, large store'), limit: 1.1 * median('tare, empty store') }),
    },
  ],
};
