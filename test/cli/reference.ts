import { flagHelp, flagName, verbHelp } from '../../src/cli/help.ts';
import { globalFlags } from '../../src/cli/globals.ts';
import { verbs } from '../../src/cli/verbs.ts';

/** Parts of docs/reference/cli.md that follow from the flag tables: the global flags, then each verb. */
export async function referenceBlocks(): Promise<string[]> {
  const globals = Object.entries(globalFlags).map(
    ([name, flag]) => `| \`${flagName(name, flag).trim()}\` | ${flagHelp(flag)} |\n`,
  );
  const blocks = [`| Option | |\n|---|---|\n${globals.join('').replaceAll(/\\?\|(?=[a-z])/g, '\\|')}`];
  for (const entry of verbs.filter(({ group }) => group !== 'hidden')) {
    blocks.push(`## tare ${entry.name}\n\n\`\`\`text\n${verbHelp(entry, await entry.load())}\`\`\`\n`);
  }
  blocks.push(
    '## Grouped names\n\n`tare container VERB` takes every verb for containers, and `ls`, `list` (`ps`), `remove` (`rm`), `exists`, `prune` and `clone`. `tare system VERB` takes `df`, `prune` and `info`. `tare image VERB` takes `ls`, `list` (`images`),\n`rm`, `remove` (`rmi`), `inspect`, `exists`, `prune`, and the verbs for images above but `login` and `logout`.\n',
  );
  return blocks;
}
