import test from 'node:test';
import { inside } from './inside.ts';
import { skip } from './the-machine.ts';
const T = 3_000_000;
const network = (await import('node:fs'))
  .readdirSync('/work/main/src/network')
  .filter((n) => n.endsWith('.test.ts'))
  .map((n) => `../src/network/${n.replace('.test.ts', '')}`);
test('net', { skip, timeout: T }, async (t) => {
  await inside(t, (process.env.SUITES ?? 'engine/network').split(','), { timeoutMs: T });
});
