import { closeSync, openSync, readFileSync, unlinkSync, writeFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { UsageError } from './usage-error.ts';

/** A file that gets one id. */
export interface IdFile extends Disposable {
  write(id: string): void;
}

/**
 * Makes the file of `--cidfile` before anything else happens, so that two users of one file cannot both go on. Disposing removes it unless it was
 * written. With `replace` a file that is there is overwritten. No path: does nothing. Errors: UsageError.
 */
export function idFile(shown: string, path: string | undefined, cwd: string, replace = false): IdFile {
  if (path === undefined) return { write: () => {}, [Symbol.dispose]: () => {} };
  const target = resolve(cwd, path);
  let fd: number | undefined;
  try {
    fd = openSync(target, replace ? 'w' : 'wx', 0o644);
  } catch (cause) {
    const code = (cause as NodeJS.ErrnoException).code;
    const state =
      code === 'EEXIST' ? 'the file exists; remove it if its container is gone' : (code ?? 'cannot be made');
    throw new UsageError(`Cannot use ${shown} ${path}: ${state}`, { cause });
  }
  let written = false;
  const close = (): void => {
    if (fd !== undefined) closeSync(fd);
    fd = undefined;
  };
  return {
    write(id) {
      if (fd !== undefined) writeFileSync(fd, id);
      written = true;
      close();
    },
    [Symbol.dispose]() {
      close();
      if (!written && !replace) unlinkSync(target);
    },
  };
}

/** The id that a file has. Errors: UsageError. */
export function idInFile(shown: string, path: string, cwd: string): string {
  let text: string;
  try {
    text = readFileSync(resolve(cwd, path), 'utf8').trim();
  } catch (cause) {
    throw new UsageError(`Cannot read ${shown} ${path}: ${(cause as NodeJS.ErrnoException).code ?? 'unreadable'}`, {
      cause,
    });
  }
  if (/^[0-9a-f]{64}$/.test(text)) return text;
  throw new UsageError(`Cannot use ${shown} ${path}: there is no id in it`);
}
