import { existsSync } from 'node:fs';
import type { Engine } from './engine.ts';

/** Whether a container has something of networks that is to be taken back when it is dead: one look, without the code of networks. */
export function holdsNetworks(engine: Engine, id: string): boolean {
  return existsSync(`${engine.runRoot}/networks/attached/${id}`);
}

/** Whether any has. */
export function anyNetworks(engine: Engine): boolean {
  return existsSync(`${engine.runRoot}/networks/attached`);
}
