import { existsSync } from 'node:fs';
import type { Engine } from '../engine.ts';
import { cniStateDir } from './cni-names.ts';

/** In the directory of a container's CNI networks: why its last DEL failed. */
export const OWED = 'owed';

/** Whether a container has something of CNI networks that is to be taken back when it is dead; not what a plugin has refused to. */
export function holdsCni(engine: Engine, id: string): boolean {
  const dir = `${cniStateDir(engine)}/${id}`;
  return existsSync(dir) && !existsSync(`${dir}/${OWED}`);
}
