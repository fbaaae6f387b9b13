import { appendFileSync, readFileSync, statSync } from 'node:fs';
import { ifPresent } from '../base/if-present.ts';

/** Has hosts files say that these names are here: who shares a network finds the others of it at 127.0.0.1, as podman has it. What is in a file stays; one that is gone is nobody's, one that its container made huge is left alone. */
export function nameHere(paths: readonly string[], names: readonly string[]): void {
  for (const path of paths) {
    const text = ifPresent(() => (statSync(path).size > MAX_BYTES ? undefined : readFileSync(path, 'utf8')));
    if (text === undefined) continue;
    const known = new Set(text.split('\n').flatMap((line) => line.replace(/#.*/, '').split(/\s+/).slice(1)));
    const lines = names.filter((name) => !known.has(name)).map((name) => `${HERE}\t${name}\n`);
    if (lines.length > 0) appendFileSync(path, `${text === '' || text.endsWith('\n') ? '' : '\n'}${lines.join('')}`);
  }
}

/** The lines that were added to a hosts file by `nameHere`: what it was made of ends with no such line. */
export function namesHere(text: string): string {
  return /(?:127\.0\.0\.1\t[a-zA-Z0-9][a-zA-Z0-9_.-]*\n)+$/.exec(text)?.[0] ?? '';
}

const HERE = '127.0.0.1';
const MAX_BYTES = 1024 * 1024;
