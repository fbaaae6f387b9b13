/** A process that works on a store until it is killed: `node _crash.suite.ts GRAPHROOT RUNROOT SEED`. Prints a line when it begins. */
import { randomizer } from '../archive/_tar.suite.ts';
import { randomId } from './_random.ts';
import { addImage, makeImage } from './_store.suite.ts';
import { Store } from './mod.ts';

const [graphRoot = '', runRoot = '', seed = '1'] = process.argv.slice(2);
const random = randomizer(Number(seed) * 7919);
const store = await Store.open({ graphRoot, runRoot });
const layer = (n: number) =>
  Array.from({ length: 20 }, (_, i) => ({ path: `layer${n}/file${i}`, kind: 'file' as const, content: `${n}${i}` }));
process.stdout.write('begun\n');
for (;;) {
  const n = random(4);
  const image = makeImage([layer(0), layer(n), layer(n + 10)].slice(n === 0 ? 1 : 0), String(random(3)));
  const record = await addImage(store, image, [`localhost/crash:${n}`, `localhost/crash:${random(6)}`]);
  const container = await store.createContainer({
    id: randomId(),
    imageId: record.id,
    volatile: random(2) === 0,
    metadata: '{}',
  });
  if (random(3) > 0) await store.removeContainer(container.id);
  await store.removeImage(record.id, { force: true }).catch(() => undefined);
}
