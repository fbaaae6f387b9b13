import { existsSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { Store } from '../../src/storage/mod.ts';
import { buildImage } from '../../test/support/image.ts';
import { tarOf } from '../../test/support/tar.ts';
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
  for (let n = 0; n < images; n++) {
    lab.signal.throwIfAborted();
    const tars = Array.from({ length: LAYERS }, (_, layer) => tarOf([{ name: `file-${n}-${layer}`, content: `${n}` }]));
    const { config, manifest } = buildImage({
      layers: tars,
      compress: (tar) => tar,
      layerType: 'application/vnd.oci.image.layer.v1.tar',
    });
    const layers = await Promise.all(
      tars.map(async (tar) => {
        await using writer = await store.stageLayer();
        await writer.write(tar);
        return await writer.finish();
      }),
    );
    const names = [`registry.example/filler/image-${n}:latest`];
    await store.commitImage({ layers, config: config.bytes, manifest: manifest.bytes, names });
  }
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
