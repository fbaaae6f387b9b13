/** A program that collects what crashes left: `node collects.ts ENGINE-JSON`. */
import { createEngine, reconcileAll, type EngineOptions } from '../../src/engine/mod.ts';

await reconcileAll(createEngine(JSON.parse(process.argv[2] ?? '{}') as EngineOptions));
