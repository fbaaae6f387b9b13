import type { Flag, FlagTable } from './flag-table.ts';
import { globalFlags } from './globals.ts';
import type { Verb } from './verb.ts';
import { type VerbEntry, type VerbGroup, groupMembers, groups, verbs } from './verbs.ts';

const HEADINGS: readonly (readonly [VerbGroup, string])[] = [
  ['containers', 'Containers'],
  ['pods', 'Pods'],
  ['images', 'Images'],
  ['networks', 'Networks'],
  ['volumes', 'Volumes'],
  ['system', 'System'],
];

/** `tare help`. */
export function overview(): string {
  const width = Math.max(...verbs.map(({ name }) => name.length));
  const sections = HEADINGS.map(([group, heading]) => {
    const lines = verbs
      .filter((verb) => verb.group === group)
      .map(({ name, summary }) => `  ${name.padEnd(width)}   ${summary}\n`);
    return `${heading}:\n${lines.join('')}`;
  });
  return [
    'Usage:  tare [OPTIONS] VERB\n\nContainers without a daemon\n',
    ...sections,
    `${groups
      .map((group) => `tare ${group} VERB`)
      .join(', ')
      .replace(/, ([^,]*)$/, ' and $1')} take the verbs docker has there.\n`,
    `Global options, before the verb:\n${flagLines(globalFlags)}`,
    "Run 'tare VERB --help' for a verb's flags and an example.\n",
  ].join('\n');
}

/** `tare container --help`. */
export function groupHelp(group: string): string {
  return `Usage:  tare ${group} VERB\n\nVerbs:\n${groupMembers(group)
    .map((name) => `  ${name}\n`)
    .join('')}`;
}

/** `tare VERB --help`. */
export function verbHelp(entry: VerbEntry, verb: Verb): string {
  const examples = verb.examples.map(([line, meaning]) => `  # ${meaning}\n  tare ${line}\n`).join('\n');
  const flags = Object.keys(verb.flags).length === 0 ? [] : [`Options:\n${flagLines(verb.flags)}`];
  return [
    `Usage:  tare ${entry.name}${verb.usage === '' ? '' : ` ${verb.usage}`}\n\n${entry.summary}\n`,
    ...flags,
    `Examples:\n${examples}`,
  ].join('\n');
}

function flagLines(table: FlagTable): string {
  const rows = Object.entries(table)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, flag]) => [flagName(name, flag), flagHelp(flag)] as const);
  const width = Math.max(...rows.map(([left]) => left.length));
  return rows.map(([left, right]) => `  ${left.padEnd(width)}   ${right}\n`).join('');
}

/** `-e, --env KEY[=VALUE]`. */
export function flagName(name: string, flag: Flag): string {
  const word = valueWord(flag);
  return `${flag.short === undefined ? '    ' : `-${flag.short}, `}--${name}${word === '' ? '' : ` ${word}`}`;
}

/** The help line with the default. */
export function flagHelp(flag: Flag): string {
  return flag.standard === undefined ? flag.help : `${flag.help} (default ${flag.standard})`;
}

function valueWord(flag: Flag): string {
  if (flag.value !== undefined) return flag.value;
  if (flag.choices !== undefined) return flag.choices.join('|');
  return { switch: '', text: 'TEXT', list: 'TEXT', size: 'SIZE', integer: 'N', number: 'NUMBER', seconds: 'SECONDS' }[
    flag.type
  ];
}
