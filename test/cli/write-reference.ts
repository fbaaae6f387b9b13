/** Writes the generated part of docs/reference/cli.md (the help of every verb) from the flag tables: `tools/node test/cli/write-reference.ts`. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { referenceBlocks } from './reference.ts';

const path = join(import.meta.dirname, '../../docs/reference/cli.md');
const marker = '## Global options\n';
const [head = ''] = readFileSync(path, 'utf8').split(marker, 1);
writeFileSync(path, `${head}${marker}\n${(await referenceBlocks()).join('\n')}`);
