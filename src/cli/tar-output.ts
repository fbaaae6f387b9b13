import { resolve } from 'node:path';
import { fileOutput } from '../image/archive-output.ts';
import { isTerminal } from '../sys/tty.ts';
import type { Context } from './context.ts';
import type { FlagTable } from './flag-table.ts';
import { writeAll } from './output.ts';
import { UsageError } from './usage-error.ts';
import { watched } from './watch-pull.ts';

/** Where a tar goes. */
export const tarOutputFlags = {
  output: {
    type: 'text',
    short: 'o',
    value: 'FILE',
    help: 'The file; it appears when it is complete (default: standard output)',
  },
} as const satisfies FlagTable;

/** Writes a tar to `output`, or to standard output; the result is the exit code. Errors: UsageError for a terminal; those of the tar and of writing. */
export async function writeTar(
  context: Context,
  output: string | undefined,
  tarOf: (how: { readonly signal: AbortSignal }) => AsyncIterable<Uint8Array>,
): Promise<number> {
  if (output === undefined && isTerminal(1))
    throw new UsageError('Cannot export to a terminal: name a file with --output, or redirect');
  return await watched(context, true, async ({ signal }) => {
    const tar = tarOf({ signal });
    if (output === undefined) {
      for await (const bytes of tar) await writeAll(1, bytes);
      return 0;
    }
    await using file = await fileOutput(resolve(context.cwd, output));
    for await (const bytes of tar) await file.write(bytes);
    await file.commit();
    return 0;
  });
}
