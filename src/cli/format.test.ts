import assert from 'node:assert/strict';
import test from 'node:test';
import { compileFormat } from './format.ts';
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
  assert.deepEqual(JSON.parse(render('{{json .}}')), item);
  assert.equal(render('json'), JSON.stringify(item));
  assert.equal(render('{{.Args}} {{.Labels}} {{.None}}'), '[a b] map[a:2 x:1] <no value>');
  assert.equal(render('plain'), 'plain');
});

test('compileFormat: a missing label is empty, a misspelt field is an error', () => {
  assert.equal(render('{{.Labels.nothing}}'), '<no value>');
  assert.throws(() => render('{{.State.Sttus}}'), /there is no field Sttus/);
  assert.throws(() => render('{{.Id.x}}'), UsageError);
});

test('compileFormat: errors tell the place in what was given, also after table', () => {
  assert.throws(() => compileFormat('table {{.Id}}\\t{{.Id | jsn}}'), /line 1, column 24: there is no function jsn/);
  assert.throws(() => compileFormat('{{.Id'), UsageError);
  assert.deepEqual([...compileFormat('table {{.ID}}\\t{{.Size}}').fields], ['ID', 'Size']);
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
  assert.equal(renderRows([], compileFormat('table {{.CreatedAt}}'), [], headings), 'CREATED AT\n');
  assert.equal(
    renderRows(items, compileFormat('table {{.ID | printf "%-3s"}}\\t{{upper .Names}}'), [], headings, true),
    '1     LONG-NAME\n22    X\n',
  );
  assert.equal(
    renderRows(items, compileFormat('{{range $i, $r := .}}{{$i}}{{.ID}} {{end}}'), [], headings),
    '01 122 \n',
  );
});
