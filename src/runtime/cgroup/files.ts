import { closeSync, constants, openSync, readFileSync, writeSync } from 'node:fs';

/** The errno name of a failed fs call, "" for anything else. */
export function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : '';
}

/** What the kernel said, without Node's prefix: "EINVAL: invalid argument". */
export function kernelWords(error: unknown): string {
  return error instanceof Error ? error.message.replace(/, \w+(?: '.*')?$/s, '') : String(error);
}

/** Opens an existing kernel file for writing only: some have no reader, and cgroupfs refuses to create any. */
export function openKernelFile(path: string): number {
  return openSync(path, constants.O_WRONLY);
}

/** Writes a value to an existing kernel file in one write(2), as cgroup files demand. */
export function writeKernelFile(path: string, value: string): void {
  const fd = openKernelFile(path);
  try {
    writeSync(fd, value);
  } finally {
    closeSync(fd);
  }
}

/** The contents without the last newline, or undefined when the file is not there (or its cgroup just vanished). */
export function readKernelFile(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8').trimEnd();
  } catch (error) {
    const code = codeOf(error);
    if (code === 'ENOENT' || code === 'ENODEV') return undefined;
    throw error;
  }
}

/** A "key value" line of a flat keyed file. */
export function keyedNumber(text: string | undefined, key: string): number | undefined {
  for (const line of text?.split('\n') ?? []) {
    if (line.startsWith(key) && line[key.length] === ' ') return Number(line.slice(key.length + 1));
  }
  return undefined;
}
