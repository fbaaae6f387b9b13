import { isErrno } from '../../sys/error.ts';
import { openDirectory } from '../../sys/open.ts';
import { bytesBelow } from '../container-size.ts';
import type { Engine } from '../engine.ts';
import { DATA, volumePath } from './volume.ts';

/** What the files of a volume are long; nothing for one that is gone. Files that somebody changes meanwhile count or not. */
export function volumeSize(engine: Engine, name: string): number {
  try {
    using data = openDirectory(volumePath(engine, name, DATA));
    return bytesBelow(data, new Set(), 0);
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return 0;
    throw error;
  }
}
