/** A program that is killed while it creates a container: `node dies-creating.ts ENGINE-JSON NAME SOURCE`. */
import { prepareContainer } from '../../src/engine/create.ts';
import { createEngine, type EngineOptions } from '../../src/engine/mod.ts';

const [, , options = '{}', name = '', source = ''] = process.argv;
await prepareContainer(
  createEngine(JSON.parse(options) as EngineOptions),
  { source, argv: ['true'], name },
  {},
  { owned: false, starts: false },
);
process.kill(process.pid, 'SIGKILL');
