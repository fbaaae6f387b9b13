import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { needs } from '../test/support/needs.ts';
import { checkExamples, checkLinks, examplesOf, headingId } from './check-docs.ts';
import { checkLayers, importsOf } from './check-layers.ts';
import { checkNativeFormat, checkNativeSize } from './check-native.ts';
import { formatProblem, runProgram, type CheckResult } from './_problem.ts';

const checkout = dirname(import.meta.dirname);

/** A checkout with these files. */
function tree(t: TestContext, files: Readonly<Record<string, string>>): string {
  const root = mkdtempSync('/tmp/tare-check-');
  t.after(() => rmSync(root, { recursive: true }));
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(join(root, dirname(path)), { recursive: true });
    writeFileSync(join(root, path), text);
  }
  return root;
}

const lines = ({ problems }: CheckResult): string[] => problems.map(formatProblem);
const story = '/** The story. */\n';

test('checkLayers lets a clean tree through', (t) => {
  const root = tree(t, {
    'src/base/mod.ts': `${story}export { a } from './a.ts';\n`,
    'src/base/a.ts': 'export const a = 1;\n',
    'src/sys/mod.ts': `${story}export {};\n`,
    'src/sys/open.ts': "import { a } from '../base/a.ts';\nimport { b } from './_b.ts';\nexport const c = a + b;\n",
    'src/sys/_b.ts': 'export const b = 1;\n',
  });
  assert.deepEqual(lines(checkLayers(root)), []);
});

const bad: readonly [title: string, files: Record<string, string>, expected: RegExp][] = [
  [
    'an import upward',
    { 'src/base/a.ts': "\nimport { b } from '../sys/b.ts';\n", 'src/sys/b.ts': 'export const b = 1;\n' },
    /^src\/base\/a\.ts:2: base imports sys, a higher layer/,
  ],
  [
    'a type import upward',
    { 'src/base/a.ts': "import type { B } from '../sys/b.ts';\n", 'src/sys/b.ts': 'export type B = 1;\n' },
    /base imports sys/,
  ],
  [
    'a dynamic import upward',
    { 'src/base/a.ts': "const b = import('../sys/b.ts');\n", 'src/sys/b.ts': 'export const b = 1;\n' },
    /base imports sys/,
  ],
  [
    'runtime importing storage',
    { 'src/runtime/a.ts': "import { b } from '../storage/b.ts';\n", 'src/storage/b.ts': 'export const b = 1;\n' },
    /runtime imports storage: they never/,
  ],
  [
    'storage importing runtime',
    { 'src/storage/a.ts': "import { b } from '../runtime/b.ts';\n", 'src/runtime/b.ts': 'export const b = 1;\n' },
    /storage imports runtime: they never/,
  ],
  [
    'a door importing a door',
    { 'src/cri/a.ts': "import { b } from '../cli/b.ts';\n", 'src/cli/b.ts': 'export const b = 1;\n' },
    /cri imports cli: doors never/,
  ],
  [
    'the addon outside sys',
    {
      'src/engine/a.ts': "import { addon } from '../sys/addon.ts';\n",
      'src/sys/addon.ts': 'export const addon = 1;\n',
    },
    /only src\/sys calls native code/,
  ],
  [
    'a private file from another folder',
    { 'src/sys/a.ts': "import { b } from '../base/_b.ts';\n", 'src/base/_b.ts': 'export const b = 1;\n' },
    /private to src\/base/,
  ],
  [
    'a private file from the folder above',
    { 'src/sys/a.ts': "import { b } from './plan/_b.ts';\n", 'src/sys/plan/_b.ts': 'export const b = 1;\n' },
    /private to src\/sys\/plan/,
  ],
  ['node in spec', { 'src/spec/a.ts': "import { readFileSync } from 'node:fs';\n" }, /spec is pure/],
  ['a package', { 'src/base/a.ts': "import lodash from 'lodash';\n" }, /imports package lodash/],
  ['an import without ending', { 'src/base/a.ts': "import { b } from './b';\n" }, /no \.ts ending/],
  [
    'an import of nothing',
    { 'src/base/a.ts': "import { b } from './b.ts';\n" },
    /src\/base\/b\.ts, which does not exist/,
  ],
  [
    'test support in shipped code',
    { 'src/base/a.ts': "import { b } from '../../test/b.ts';\n", 'test/b.ts': 'export const b = 1;\n' },
    /not shipped/,
  ],
  [
    'an unknown layer',
    { 'src/magic/a.ts': "import { b } from '../base/b.ts';\n", 'src/base/b.ts': 'export const b = 1;\n' },
    /no known layer/,
  ],
  ['a folder without mod.ts', { 'src/base/a.ts': 'export const a = 1;\n' }, /^src\/base: has no mod\.ts/],
  [
    'a mod.ts without its story',
    { 'src/base/mod.ts': "export { a } from './a.ts';\n", 'src/base/a.ts': 'export const a = 1;\n' },
    /folder's story/,
  ],
  [
    'a barrel',
    {
      'src/base/all.ts': "// everything\nexport * from './a.ts';\nexport { b } from './b.ts';\n",
      'src/base/a.ts': 'export const a = 1;\n',
      'src/base/b.ts': 'export const b = 1;\n',
    },
    /only re-exports/,
  ],
  ['a camel-case file', { 'src/base/openFile.ts': 'export const a = 1;\n' }, /kebab-case/],
  ['a file called utils', { 'src/base/utils.ts': 'export const a = 1;\n' }, /says nothing/],
  [
    'native code loaded outside sys',
    { 'src/engine/a.ts': 'process.dlopen({ exports: {} }, "x.node");\n' },
    /only src\/sys does/,
  ],
  ['a file over the limit', { 'src/base/a.ts': '1;\n'.repeat(501) }, /has 501 lines, more than 500/],
  ['a tool over the limit', { 'tools/a.ts': '1;\n'.repeat(501) }, /has 501 lines/],
];

for (const [title, files, expected] of bad) {
  test(`checkLayers refuses ${title}`, (t) => {
    const found = checkLayers(tree(t, files)).problems.filter(({ warning }) => warning !== true);
    assert.ok(
      found.some((problem) => expected.test(formatProblem(problem))),
      found.map(formatProblem).join('\n'),
    );
  });
}

test('checkLayers only warns about a file over 250 lines', (t) => {
  const { problems } = checkLayers(tree(t, { 'tools/a.ts': '1;\n'.repeat(251) }));
  assert.deepEqual(
    problems.map(({ warning }) => warning),
    [true],
  );
});

test('importsOf finds every form of import with its line', () => {
  const text = `import a from './a.ts';
import {
  b,
  c,
} from './b.ts';
export * from './c.ts';
export { d } from './d.ts';
const e = await import('./e.ts');
import './f.ts';
import type { G } from './g.ts';
const text = "from './not.ts'";
`;
  assert.deepEqual(
    importsOf(text).map(({ specifier, line }) => `${specifier}:${line}`),
    ['./a.ts:1', './b.ts:5', './c.ts:6', './d.ts:7', './e.ts:8', './f.ts:9', './g.ts:10'],
  );
});

test('checkLinks names dead links and anchors, not those of the web or in code', (t) => {
  const root = tree(t, {
    'README.md':
      '# Title\n[ok](docs/a.md) [ok](docs/a.md#two-words) [web](https://x.invalid/)\n`[code](no.md)`\n[dead](docs/b.md)\n[dead](docs/a.md#three)\n[here](#title) [gone](#gone)\n',
    'docs/a.md': '# A\n## Two words\n```\n[code](no.md)\n```\n[up](../README.md)\n',
  });
  assert.deepEqual(lines(checkLinks(root)), [
    'README.md:4: links to docs/b.md, but docs/b.md does not exist',
    'README.md:5: links to docs/a.md#three, but docs/a.md has no heading #three',
    'README.md:6: links to #gone, but README.md has no heading #gone',
  ]);
});

test('headingId is the id GitHub gives', () => {
  assert.equal(headingId('What is `not` there, yet?'), 'what-is-not-there-yet');
  assert.equal(headingId('`host:` and [links](x.md)'), 'host-and-links');
});

test('examplesOf takes the blocks marked ts run, with their lines', () => {
  const text = 'a\n```ts run\nconst a = 1;\n```\n```ts\nno\n```\n```sh\n```ts run\n```\n';
  assert.deepEqual(examplesOf('x.md', text), [{ file: 'x.md', line: 3, code: 'const a = 1;' }]);
});

test('checkExamples names the Markdown line of an example that does not compile', async (t) => {
  const root = exampleTree(t, '```ts run\nconst ok: number = 1;\nconst bad: number = "x";\n```\n');
  const { problems } = await checkExamples(root);
  assert.deepEqual(
    problems.map(({ file, line }) => `${file}:${line}`),
    ['README.md:3'],
  );
});

test(
  'checkExamples names the Markdown line of an example that fails, and runs those that do not',
  { skip: needs.root() || needs.program('unshare') },
  async (t) => {
    const root = exampleTree(
      t,
      '```ts run\nif (1 + 1 !== 2) throw new Error();\n```\n\n```ts run\nconst one = 1;\nthrow new Error(`boom ${one}`);\n```\n',
    );
    const { problems } = await checkExamples(root);
    assert.equal(problems.length, 1, problems.map(formatProblem).join('\n'));
    assert.equal(problems[0]?.line, 7);
    assert.match(problems[0].message, /boom 1/);
  },
);

function exampleTree(t: TestContext, readme: string): string {
  const root = tree(t, {
    'README.md': readme,
    'package.json': '{"type":"module"}',
    'tsconfig.json':
      '{"compilerOptions":{"target":"es2024","module":"nodenext","strict":true,"noEmit":true,"types":["node"],"skipLibCheck":true}}',
  });
  symlinkSync(join(checkout, 'node_modules'), join(root, 'node_modules'));
  return root;
}

test('checkNativeSize refuses a helper over its budget', (t) => {
  const { problems } = checkNativeSize(
    tree(t, {
      'native/helper/a.c': 'int a;\n'.repeat(2800),
      'native/helper/b.h': 'int b;\n'.repeat(1901),
      'native/addon/a.c': '\n',
    }),
  );
  assert.deepEqual(
    problems.map(({ file }) => file),
    ['native/helper'],
  );
});

test('checkNativeFormat names what clang-format would change', { skip: needs.program('clang-format') }, async (t) => {
  const root = tree(t, {
    '.clang-format': 'BasedOnStyle: LLVM\n',
    'native/helper/a.c': 'int a;\nint   b;\n',
    'native/helper/b.c': 'int b;\n',
  });
  assert.deepEqual(lines(await checkNativeFormat(root)), ['native/helper/a.c:2: is not formatted: run npm run format']);
});

const lintErrors: readonly [rule: string, code: string][] = [
  ['no-floating-promises', 'export function f(): void {\n  Promise.resolve(1).then(String);\n}\n'],
  ['no-misused-promises', 'export const f = (list: number[]): number[] => list.filter(async (n) => n > 1);\n'],
  ['no-explicit-any', 'export const a: any = 1;\n'],
  ['no-non-null-assertion', 'export const f = (a?: string): string => a!;\n'],
  ['eqeqeq', 'export const f = (a: unknown): boolean => a == 1;\n'],
  ['no-console', 'console.log(1);\n'],
  ['no-unsafe-assignment', "export const a: string = JSON.parse('1');\n"],
  ['switch-exhaustiveness-check', "export function f(a: 'x' | 'y'): void {\n  switch (a) {\n    case 'x':\n  }\n}\n"],
];

test('the lint rules of the checkout find the bugs they are there for', async (t) => {
  const root = tree(t, {
    ...Object.fromEntries(lintErrors.map(([rule, code]) => [`src/base/${rule}.ts`, code])),
    'src/base/cycle-a.ts': "import { b } from './cycle-b.ts';\nexport const a = (): number => b();\n",
    'src/base/cycle-b.ts': "import { a } from './cycle-a.ts';\nexport const b = (): number => a();\n",
    'tsconfig.json':
      '{"compilerOptions":{"target":"es2024","module":"nodenext","strict":true,"noEmit":true,"types":["node"],"allowImportingTsExtensions":true,"skipLibCheck":true},"include":["src"]}',
    'package.json': '{"type":"module"}',
    '.oxlintrc.json': readFileSync(join(checkout, '.oxlintrc.json'), 'utf8'),
  });
  symlinkSync(join(checkout, 'node_modules'), join(root, 'node_modules'));
  const { output } = await runProgram([join(checkout, 'node_modules/.bin/oxlint'), '--format', 'unix', 'src'], {
    cwd: root,
  });
  for (const [rule] of lintErrors)
    assert.match(output, new RegExp(`src/base/${rule}\\.ts:\\d+:\\d+: .*\\(${rule}\\)`), output);
  assert.match(output, /cycle-a\.ts.*no-cycle/);
});
