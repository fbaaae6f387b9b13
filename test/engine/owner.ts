/**
 * A program that runs containers through the library and tells their ids: `node owner.ts ROOTS-JSON COUNT HOW`.
 * HOW: "wait" stays until killed, "leave" ends without disposing anything, "throw" dies of an exception.
 */
import { open, type OpenOptions } from '../../src/mod.ts';

const [, , roots = '{}', count = '1', how = 'wait'] = process.argv;
const options = JSON.parse(roots) as OpenOptions & { readonly source: string };
const tare = await open(options);
const containers = await Promise.all(
  Array.from({ length: Number(count) }, () =>
    tare.run(options.source, ['sh', '-c', 'sleep 1000 & sleep 1000; true'], { init: true }),
  ),
);
for (const container of containers) await container.exec(['sleep', '1000']);
process.stdout.write(`${JSON.stringify(containers.map(({ id, pid }) => ({ id, pid })))}\n`);
if (how === 'throw') throw new Error('on purpose');
if (how === 'leave') process.exit(0);
