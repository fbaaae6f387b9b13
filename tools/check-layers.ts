/** The rules of the source tree that no general linter knows: layers, private files, public modules, sizes, names. */
import { existsSync, readFileSync } from 'node:fs';
import { basename, dirname, join, posix } from 'node:path';
import { filesBelow, type CheckResult, type Problem } from './_problem.ts';

/** Imports go downward only; folders of one rank never import each other. Files directly in src/ are the npm API, a door. */
const ranks: Readonly<Record<string, number>> = {
  base: 0,
  spec: 1,
  sys: 2,
  archive: 3,
  registry: 4,
  storage: 5,
  runtime: 5,
  network: 5,
  image: 6,
  build: 7,
  engine: 8,
  cli: 9,
  cri: 9,
  docker: 9,
  ui: 9,
  '': 9,
};

/** Folders that are programs, not modules. */
const doors: ReadonlySet<string> = new Set(['cli', 'cri', 'docker', 'ui', '']);
const vagueNames: ReadonlySet<string> = new Set(['utils', 'util', 'helpers', 'helper', 'common', 'manager', 'misc']);
/** What src may import besides Node: each has its reason in docs/decisions/0005-dependencies.md. */
const packages: ReadonlySet<string> = new Set(['smol-toml']);
const WARN_LINES = 250;
const MAX_LINES = 500;

interface Import {
  readonly specifier: string;
  readonly line: number;
}

/** Checks every source file below `root`/src, and the sizes of those in tools, test and bench. */
export function checkLayers(root: string): CheckResult {
  const problems: Problem[] = [];
  const sources = filesBelow(root, 'src', (path) => path.endsWith('.ts'));
  for (const file of sources) {
    const text = readFileSync(join(root, file), 'utf8');
    for (const item of importsOf(text)) problems.push(...checkImport(root, file, item));
    problems.push(...checkShape(file, text));
  }
  for (const folder of new Set(sources.map(folderOf))) {
    if (!doors.has(folder) && !sources.includes(`src/${folder}/mod.ts`)) {
      problems.push({
        file: `src/${folder}`,
        line: 0,
        message: 'has no mod.ts: add one that tells what the folder promises and exports its public symbols by name',
      });
    }
  }
  for (const file of [
    ...sources,
    ...['tools', 'test', 'bench'].flatMap((dir) => filesBelow(root, dir, (path) => path.endsWith('.ts'))),
  ]) {
    problems.push(...checkSize(file, readFileSync(join(root, file), 'utf8')));
  }
  return { problems };
}

/** Module specifiers with their lines: import and export from, and import(). Type-only imports too, as they also tie folders together. */
export function importsOf(text: string): Import[] {
  const found: Import[] = [];
  const pattern = /^[ \t]*(?:import|export)\s(?:[^'";]*?\sfrom\s*)?'([^']+)'|\bimport\(\s*'([^']+)'/gm;
  for (const match of text.matchAll(pattern)) {
    const specifier = match[1] ?? match[2];
    // Source text inside a template, for a child process.
    if (specifier === undefined || specifier.includes('${')) continue;
    found.push({ specifier, line: text.slice(0, match.index + match[0].length).split('\n').length });
  }
  return found;
}

function folderOf(file: string): string {
  const parts = file.split('/');
  return parts.length > 2 ? (parts[1] ?? '') : '';
}

const isTest = (file: string): boolean => /\.(?:test|suite)\.ts$/.test(file) || basename(file).startsWith('_');

function checkImport(root: string, file: string, { specifier, line }: Import): Problem[] {
  const say = (message: string): Problem[] => [{ file, line, message }];
  const from = folderOf(file);
  if (specifier.startsWith('node:')) {
    if (from === 'spec' && !isTest(file) && specifier !== 'node:util')
      return say(`spec is pure and may not import ${specifier}: take what it offers as an argument`);
    return [];
  }
  if (packages.has(specifier)) return [];
  if (!specifier.startsWith('.')) {
    // Self-reference is for users; we would import dist.
    return say(
      `imports package ${specifier}: src depends on nothing but Node; write it, or ask in docs/decisions/0005-dependencies.md`,
    );
  }
  if (!specifier.endsWith('.ts') && !specifier.endsWith('.json'))
    return say(`import '${specifier}' has no .ts ending: Node runs the sources as they are`);
  const target = posix.join(posix.dirname(file), specifier);
  if (!existsSync(join(root, target))) return say(`imports ${target}, which does not exist`);
  if (
    basename(target).startsWith('_') &&
    !(isTest(file) && target.endsWith('.suite.ts')) &&
    !posix.dirname(file).startsWith(posix.dirname(target))
  ) {
    return say(
      `imports ${target}, which is private to ${dirname(target)}/: export what is needed from a public file there`,
    );
  }
  if (isTest(file)) return [];
  if (!target.startsWith('src/')) return say(`imports ${target}, which is not shipped: only tests may`);
  const to = folderOf(target);
  if (target === 'src/sys/addon.ts' && from !== 'sys')
    return say('imports the addon: only src/sys calls native code; add a typed function there');
  if (from === to) return [];
  const mine = ranks[from];
  const theirs = ranks[to];
  if (mine === undefined || theirs === undefined)
    return say(
      `src/${mine === undefined ? from : to} is no known layer: give it a rank in tools/check-layers.ts and a line in docs`,
    );
  if (theirs < mine) return [];
  if (theirs === mine)
    return say(
      `${from || 'the npm API'} imports ${to || 'the npm API'}: ${doors.has(from) ? 'doors' : 'they'} never import each other; move what both need to a lower layer`,
    );
  return say(
    `${from} imports ${to}, a higher layer: imports go downward only; pass it as an argument, or move what is needed down`,
  );
}

function checkShape(file: string, text: string): Problem[] {
  const problems: Problem[] = [];
  const name = basename(file).replace(/\.ts$/, '');
  if (!/^_?[a-z0-9]+(?:-[a-z0-9]+)*(?:\.(?:test|suite|d))?$/.test(name))
    problems.push({ file, line: 0, message: 'file names are kebab-case, named for their main export' });
  if (vagueNames.has(name.replace(/^_/, '')))
    problems.push({ file, line: 0, message: `"${name}" says nothing: name the file for the one idea in it` });
  if (/\bprocess\.dlopen\b|createRequire/.test(text) && folderOf(file) !== 'sys') {
    problems.push({
      file,
      line: lineOf(text, /process\.dlopen|createRequire/),
      message: 'loads native or CommonJS code: only src/sys does',
    });
  }
  const statements = text.replace(/\/\*[^]*?\*\/|^\s*\/\/.*$/gm, '').trim();
  const reExports = [...statements.matchAll(/^export (?:type )?(?:\*|\{[^}]*\}) from '[^']+';?$/gm)]
    .map((match) => match[0])
    .join('');
  const isBarrel = statements !== '' && statements.replace(/\s/g, '').length === reExports.replace(/\s/g, '').length;
  if (name === 'mod') {
    if (!text.trimStart().startsWith('/**'))
      problems.push({
        file,
        line: 1,
        message: "mod.ts starts with the folder's story: a comment on what it promises and in which order to read it",
      });
  } else if (isBarrel) {
    problems.push({
      file,
      line: 1,
      message: 'only re-exports: import from the files themselves; the only barrel of a folder is its mod.ts',
    });
  }
  return problems;
}

function checkSize(file: string, text: string): Problem[] {
  const lines = text.split('\n').length - 1;
  if (lines > MAX_LINES)
    return [
      {
        file,
        line: 0,
        message: `has ${lines} lines, more than ${MAX_LINES}: split it by kernel object or noun of the specification`,
      },
    ];
  if (lines > WARN_LINES && !isTest(file))
    return [{ file, line: 0, message: `has ${lines} lines; aim for less than ${WARN_LINES}`, warning: true }];
  return [];
}

function lineOf(text: string, pattern: RegExp): number {
  return text.slice(0, Math.max(0, text.search(pattern))).split('\n').length;
}
