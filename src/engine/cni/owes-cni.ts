import { existsSync } from 'node:fs';
import type { Engine } from '../engine.ts';
import { cniPinDir, cniStateDir } from './cni-names.ts';

/** In the directory of a container's CNI networks: why its last DEL failed. */
export const OWED = 'owed';

/** Whether a container has something of CNI networks: what is remembered of it, or a name of its namespace. Whoever is killed leaves either. */
export function hasCni(engine: Engine, id: string): boolean {
  return existsSync(`${cniStateDir(engine)}/${id}`) || existsSync(`${cniPinDir(engine)}/${id}`);
}

/** Whether that is to be taken back when it is dead; not what a plugin has refused to. */
export function holdsCni(engine: Engine, id: string): boolean {
  return hasCni(engine, id) && !existsSync(`${cniStateDir(engine)}/${id}/${OWED}`);
}

/** Whether any container has, or had. */
export function anyCni(engine: Engine): boolean {
  return existsSync(cniStateDir(engine)) || existsSync(cniPinDir(engine));
}
