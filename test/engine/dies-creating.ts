/** A program that is killed while it creates a container: `node dies-creating.ts ENGINE-JSON NAME SOURCE [--rm]`. */
import { prepareContainer } from '../../src/engine/create.ts';
import { createEngine, type EngineOptions } from '../../src/engine/mod.ts';

const [, , options = '{}', name = '', source = '', rm] = process.argv;
await prepareContainer(
  createEngine(JSON.parse(options) as EngineOptions),
  { source, argv: ['true'], name, autoRemove: rm === '--rm' },
  {},
  { owned: false, starts: rm === '--rm' },
);
process.kill(process.pid, 'SIGKILL');
