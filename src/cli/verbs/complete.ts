import { complete } from '../completion/complete.ts';
import { createEngine, type Engine } from '../../engine/engine.ts';
import type { Context } from '../context.ts';
import { engineOptions, globalFlags } from '../globals.ts';
import { parseFlags } from '../parse-flags.ts';
import { ellipsis, printable } from '../table.ts';
import { defineVerb } from '../verb.ts';

const MEANING_CHARACTERS = 80;

/** `tare __complete`: what the scripts of `tare completion` ask. */
export const verb = defineVerb({
  usage: '-- [WORD...]',
  flags: {},
  args: { min: 0 },
  commandFollows: true,
  examples: [["__complete -- run --na ''", 'How `tare run --na ` may go on']],
  async run(context, _values, words) {
    const { candidates, files, open } = await complete({ env: context.env, engine: engineOf(context, words) }, words);
    const lines = candidates
      // A word that is no line would be another word.
      .filter(({ word }) => printable(word) === word)
      .map(({ word, meaning }) =>
        meaning === '' ? `${word}\n` : `${word}\t${ellipsis(printable(meaning), MEANING_CHARACTERS)}\n`,
      );
    context.print(`${lines.join('')}:${files ?? (open === true ? 'open' : 'words')}\n`);
    return 0;
  },
});

/** The engine of the line that is being typed: `--root` may stand in it. */
function engineOf(context: Context, words: readonly string[]): Engine {
  if (words[0]?.startsWith('-') !== true) return context.engine;
  try {
    return createEngine(engineOptions(parseFlags(globalFlags, words, { interspersed: false }).flags, context));
  } catch {
    // It is not whole yet.
    return context.engine;
  }
}
