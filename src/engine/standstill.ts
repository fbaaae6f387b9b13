import { existsSync } from 'node:fs';
import type { Engine } from './engine.ts';
import { containerDir } from './record.ts';

/** Held locked by who has a container stand still for a moment. Not empty: it is he who stopped it. */
export function standstillMark(engine: Engine, id: string): string {
  return `${containerDir(engine, id)}/standstill`;
}

/** Whether somebody has it stand still for a moment, or was killed meanwhile. One look. */
export function mayBeAbandoned(engine: Engine, id: string): boolean {
  return existsSync(standstillMark(engine, id));
}
