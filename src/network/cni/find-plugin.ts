import { statSync } from 'node:fs';
import { join } from 'node:path';
import { TareError } from '../../base/errors.ts';
import { isCniName } from './cni-name.ts';

/** Where plugins are: upstream's directory, and Debian's. */
export const CNI_PLUGIN_DIRS: readonly string[] = ['/opt/cni/bin', '/usr/lib/cni'];

/** The directories of a CNI_PATH; the usual ones where there is none. Relative ones are left out: they would be somewhere else for whoever comes next. */
export function pluginDirsOf(cniPath: string | undefined): readonly string[] {
  const dirs = (cniPath ?? '').split(':').filter((dir) => dir.startsWith('/'));
  return dirs.length === 0 ? CNI_PLUGIN_DIRS : dirs;
}

/** The program of a plugin: the first of that name. Errors: invalid for a name that is a path; not-found. */
export function findPlugin(type: string, dirs: readonly string[]): string {
  if (!isCniName(type))
    throw new TareError('invalid', `Cannot use CNI plugin ${JSON.stringify(type.slice(0, 80))}: it is no name`);
  const found = dirs.map((dir) => join(dir, type)).find(isProgram);
  if (found !== undefined) return found;
  throw new TareError(
    'not-found',
    `Cannot find CNI plugin ${type}: there is none in ${dirs.join(', ')} (Debian: apt-get install containernetworking-plugins)`,
  );
}

function isProgram(path: string): boolean {
  try {
    const stat = statSync(path);
    return stat.isFile() && (stat.mode & 0o111) !== 0;
  } catch {
    return false;
  }
}
