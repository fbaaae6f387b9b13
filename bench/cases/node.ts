import type { Case } from '../case.ts';
import { bareNode, timed } from './_commands.ts';

/** What a Node process costs at all, and what Tare's own start adds to it. */
export const node: Case = {
  name: 'node',
  title: 'starting: an empty .js file in the pinned Node; tare version',
  unit: 'ms',
  contenders: [timed('tare version', async (lab) => [...lab.tare(), 'version'], true), bareNode],
};
