import assert from 'node:assert/strict';
import test from 'node:test';
import { compileFormat, parseFilters } from './format.ts';
import { renderRows } from './rows.ts';
import { UsageError } from './usage-error.ts';

const item = {
  Id: 'abc',
  State: { Status: 'running', ExitCode: 0 },
  Args: ['a', 'b'],
  Labels: { x: '1', a: '2' },
  None: null,
};
const render = (text: string): string => compileFormat(text).render(item);

test('compileFormat: fields, paths, JSON, text between', () => {
  assert.equal(render('{{.Id}}: {{ .State.Status }}\\t{{.State.ExitCode}}'), 'abc: running\t0');
  assert.equal(render('{{.ID}}'), 'abc');
  assert.equal(render('{{json .State}}'), '{"Status":"running","ExitCode":0}');
  assert.equal(render('{{json .}}'), JSON.stringify(item));
  assert.equal(render('json'), JSON.stringify(item));
  assert.equal(render('{{.Args}} {{.Labels}} {{.None}}'), '[a b] map[a:2 x:1] <no value>');
  assert.equal(render('plain'), 'plain');
});

test('compileFormat: a missing label is empty, a misspelt field is an error', () => {
  assert.equal(render('{{.Labels.nothing}}'), '<no value>');
  assert.throws(() => render('{{.State.Sttus}}'), /there is no field Sttus/);
  assert.throws(() => render('{{.Id.x}}'), UsageError);
});

test('compileFormat: refuses what it does not understand', () => {
  for (const text of [
    '{{range .Args}}x{{end}}',
    '{{.Id',
    '{{len .Args}}',
    '{{.Id | json}}',
    '{{}}',
    '{{index .Args 0}}',
  ]) {
    assert.throws(() => compileFormat(text), UsageError, text);
  }
});

test('renderRows: aligned columns, templates, tables with headings, JSON lines', () => {
  const items = [
    { ID: '1', Names: 'long-name' },
    { ID: '22', Names: 'x' },
  ];
  const headings = { ID: 'CONTAINER ID' };
  assert.equal(
    renderRows(items, undefined, ['ID', 'Names'], headings),
    'CONTAINER ID   NAMES\n1              long-name\n22             x\n',
  );
  assert.equal(renderRows(items, compileFormat('{{.Names}}/{{.ID}}'), [], headings), 'long-name/1\nx/22\n');
  assert.equal(
    renderRows(items, compileFormat('table {{.Names}}\\t{{.ID}}'), [], headings),
    'NAMES       CONTAINER ID\nlong-name   1\nx           22\n',
  );
  assert.equal(
    renderRows(items, compileFormat('json'), [], headings),
    '{"ID":"1","Names":"long-name"}\n{"ID":"22","Names":"x"}\n',
  );
  assert.equal(renderRows([], compileFormat('{{.Names}}'), [], headings), '');
});

test('parseFilters: groups by key, refuses unknown keys', () => {
  assert.deepEqual(
    [...parseFilters(['a=1', 'b=x=y', 'a=2'], ['a', 'b'])],
    [
      ['a', ['1', '2']],
      ['b', ['x=y']],
    ],
  );
  assert.throws(() => parseFilters(['c=1'], ['a']), UsageError);
  assert.throws(() => parseFilters(['a'], ['a']), UsageError);
});
