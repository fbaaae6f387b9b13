import { openSync } from 'node:fs';
import { Fd } from '../sys/fd.ts';
import { fileError } from './file-error.ts';

/** Opens a file for reading. Errors: by errno, with what it was for. */
export function openReadOnly(path: string, what: string): Fd {
  try {
    return Fd.adopt(openSync(path, 'r'));
  } catch (error) {
    throw fileError(error, what);
  }
}
