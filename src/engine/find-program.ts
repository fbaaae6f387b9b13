import { existsSync } from 'node:fs';
import { join } from 'node:path';

/** Where a program is: in PATH (default: where a Linux has programs), or where only root looks. */
export function findProgram(name: string, path = '/usr/local/bin:/usr/bin:/bin'): string | undefined {
  return [...path.split(':'), '/usr/sbin', '/sbin']
    .filter((dir) => dir.startsWith('/'))
    .map((dir) => join(dir, name))
    .find((file) => existsSync(file));
}
