import { TareError, isKind } from '../base/errors.ts';
import { isErrno } from '../sys/error.ts';
import type { Fd } from '../sys/fd.ts';
import {
  O_NOCTTY,
  O_NONBLOCK,
  O_RDONLY,
  RESOLVE_BENEATH,
  RESOLVE_NO_MAGICLINKS,
  openDirectory,
  openat2,
} from '../sys/open.ts';
import { fstat } from '../sys/stat.ts';
import { fileRange } from './_file-range.ts';
import type { ImageFiles } from './image-files.ts';

const S_IFMT = 0o170000;
const S_IFREG = 0o100000;

/** Image files in a directory. They are opened beneath the directory's descriptor: links that lead out of it, and files that are none, are refused. Errors: `not-found`, `denied`. */
export function openDirectoryFiles(path: string): ImageFiles {
  const dir = openRoot(path);
  return {
    place: path,
    open(name) {
      const fd = openFile(dir, name, path);
      const { mode, sizeBytes } = fstat(fd);
      if ((mode & S_IFMT) !== S_IFREG) {
        fd.close();
        throw new TareError('invalid', `Cannot read ${name} in ${path}: it is not a regular file`);
      }
      return {
        sizeBytes,
        read: (signal) => fileRange(fd.number, 0, sizeBytes, `${name} in ${path}`, signal),
        [Symbol.dispose]: () => fd.close(),
      };
    },
    has(name) {
      try {
        using _ = openFile(dir, name, path);
        return true;
      } catch (error) {
        if (isKind(error, 'not-found')) return false;
        throw error;
      }
    },
    async [Symbol.asyncDispose]() {
      dir.close();
    },
  };
}

function openRoot(path: string): Fd {
  try {
    return openDirectory(path);
  } catch (cause) {
    if (isErrno(cause, 'ENOENT', 'ENOTDIR'))
      throw new TareError('not-found', `Cannot open image directory ${path}: there is no such directory`, { cause });
    throw cause;
  }
}

function openFile(dir: Fd, name: string, place: string): Fd {
  try {
    return openat2(dir, name, {
      flags: O_RDONLY | O_NONBLOCK | O_NOCTTY,
      resolve: RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS,
    });
  } catch (cause) {
    if (isErrno(cause, 'ENOENT', 'ENOTDIR'))
      throw new TareError('not-found', `Cannot read ${name} in ${place}: it is not there`, { cause });
    if (isErrno(cause, 'EXDEV', 'ELOOP'))
      throw new TareError('invalid', `Cannot read ${name} in ${place}: it is a link that leads out of the directory`, {
        cause,
      });
    throw cause;
  }
}
