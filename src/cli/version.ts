import { readFileSync } from 'node:fs';
import { join } from 'node:path';

/** The version in package.json. */
export function packageVersion(packageDir: string): string {
  const parsed: unknown = JSON.parse(readFileSync(join(packageDir, 'package.json'), 'utf8'));
  const version = (parsed as { readonly version?: unknown } | null)?.version;
  return typeof version === 'string' ? version : 'unknown';
}
