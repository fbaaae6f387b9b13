/** Runs `call`; undefined when it fails because something is not there (ENOENT). */
export function ifPresent<T>(call: () => T): T | undefined {
  try {
    return call();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}
