import { existsSync } from 'node:fs';
import { delimiter, join } from 'node:path';

/** The reason to skip a test that needs programs which are not installed, or false: `test(name, { skip: missing('skopeo') }, ...)`. */
export function missing(...programs: string[]): string | false {
  const path = `${process.env['PATH'] ?? ''}${delimiter}/usr/sbin${delimiter}/sbin`.split(delimiter);
  const absent = programs.filter((program) => !path.some((dir) => dir !== '' && existsSync(join(dir, program))));
  return absent.length > 0 && `not installed: ${absent.join(', ')}`;
}

/** The reason to skip a test that only root can run, or false. */
export function notRoot(): string | false {
  return process.getuid?.() !== 0 && 'needs root';
}
