import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { UsageError } from '../usage-error.ts';
import { Shown } from './shown.ts';
import { compileTemplate } from './template.ts';

const data = {
  Id: 'abc',
  State: { Status: 'running', ExitCode: 0, Pid: 12 },
  Args: ['a', 'b', 'c'],
  Mounts: [
    { Source: '/x', Options: ['ro'] },
    { Source: '/y', Options: null },
  ],
  Config: { Labels: { x: '1', 'a-b': '2', UPPER: '3' }, Env: null },
  Names: new Shown('web,www', ['web', 'www']),
  Label: (name: unknown) => (name === 'x' ? '1' : ''),
};
const render = (text: string): string => compileTemplate(text).render(data);
const table = (cases: Readonly<Record<string, string>>): void => {
  for (const [text, wanted] of Object.entries(cases)) assert.equal(render(text), wanted, text);
};

describe('template', () => {
  test('text, fields, methods, escapes', () => {
    table({
      '': '',
      'plain } }} {': 'plain } }} {',
      '{{.Id}}': 'abc',
      '{{ .State.Status }}\\t{{.State.ExitCode}}\\n': 'running\t0\n',
      '{{$.Id}} {{(.State).Status}}': 'abc running',
      '{{.ID}} {{.state.pid}}': 'abc 12',
      '{{.Args}} {{.State}}': '[a b c] map[ExitCode:0 Pid:12 Status:running]',
      '{{.Label "x"}}{{"x" | .Label}}{{.Label "none"}}': '11',
      '{{.Names}} {{index .Names 1}} {{len .Names}}{{range .Names}} <{{.}}>{{end}}': 'web,www www 2 <web> <www>',
      '{{"a\\tb\\u00e9\\x41\\101"}} {{`raw\\n`}} {{\'é\'}}': 'a\tbéAA raw\n 233',
      '{{true}} {{0x1f}} {{-3}} {{1_000}} {{1.5}} {{017}}': 'true 31 -3 1000 1.5 15',
    });
  });

  test('what is not there: nothing in a map, an error in a structure', () => {
    table({
      '{{.Config.Labels.none}} {{.Config.Labels.a-b}} {{.Config.Env}} {{.Config.Env.x}}':
        '<no value> 2 <no value> <no value>',
      '{{index .Config.Labels "none"}}|{{index .Config.Labels "a-b"}}': '|2',
      '{{if .State.Health}}{{.State.Health.Status}}{{else}}no check{{end}}': 'no check',
    });
    assert.throws(() => render('{{.State.Sttus}}'), /line 1, column 3: there is no field Sttus; did you mean Status\?/);
    assert.throws(() => render('a\n{{"x"}} {{.Id.x}}'), /line 2, column 11: there is no field x: a text has none/);
  });

  test('trimming and comments', () => {
    table({
      'a {{- .Id -}} b': 'aabcb',
      'a \n{{- /* note */ -}}\n b': 'ab',
      'a{{/* }} */}}b': 'ab',
      '{{-3}}': '-3',
      '{{ .Id -}}\\n x': 'abcx',
    });
  });

  test('if, with, range, break, continue', () => {
    table({
      '{{if .Id}}yes{{else}}no{{end}}': 'yes',
      '{{if not .Id}}1{{else if eq .State.Pid 12}}2{{else}}3{{end}}': '2',
      '{{with .State}}{{.Pid}}{{$.Id}}{{else}}x{{end}}': '12abc',
      '{{with .Config.Env}}x{{else with .Id}}{{.}}{{end}}': 'abc',
      '{{range .Args}}<{{.}}>{{end}}': '<a><b><c>',
      '{{range $i, $v := .Args}}{{if $i}},{{end}}{{$i}}={{$v}}{{end}}': '0=a,1=b,2=c',
      '{{range $k, $v := .Config.Labels}}{{$k}}={{$v}};{{end}}': 'UPPER=3;a-b=2;x=1;',
      '{{range .Config.Env}}x{{else}}none{{end}}': 'none',
      '{{range .Args}}{{if eq . "b"}}{{continue}}{{end}}{{.}}{{end}}': 'ac',
      '{{range .Args}}{{if eq . "b"}}{{break}}{{end}}{{.}}{{end}}': 'a',
      '{{range 3}}{{.}}{{end}}': '012',
      '{{range .Mounts}}{{.Source}}{{range .Options}} {{.}}{{end}};{{end}}': '/x ro;/y;',
    });
  });

  test('variables: scope, change, pipelines', () => {
    table({
      '{{$x := .Id}}{{$x}}{{if true}}{{$x := 1}}{{$x}}{{end}}{{$x}}': 'abc1abc',
      '{{$n := ""}}{{range .Args}}{{$n = .}}{{end}}{{$n}}': 'c',
      '{{.Id | upper | printf "%s-%s" "x"}}': 'x-ABC',
      '{{with $s := .State}}{{$s.Pid}}{{end}}': '12',
      '{{.Args | join ","}} {{join .Args ","}}': 'a,b,c a,b,c',
    });
  });

  test('logic and comparison', () => {
    table({
      '{{and 1 0}} {{and 1 2}} {{or 0 ""}}| {{or "" "x"}} {{not 0}}': '0 2 | x true',
      '{{or .Id .State.Nonsense}}': 'abc',
      '{{eq .Id "x" "abc"}} {{ne 1 2}} {{lt 1 2}} {{le 2 2}} {{gt "b" "a"}} {{ge 1 2}}':
        'true true true true true false',
    });
    assert.throws(() => render('{{eq 1 "1"}}'), /cannot compare a number with a text/);
    assert.throws(() => render('{{lt 1 "a"}}'), /cannot order/);
    assert.throws(() => render('{{eq .Args .Args}}'), /cannot compare a list/);
  });

  test('functions', () => {
    table({
      '{{json .State}} {{json .Config}} {{json .Names}}':
        '{"Status":"running","ExitCode":0,"Pid":12} {"Labels":{"UPPER":"3","a-b":"2","x":"1"},"Env":null} "web,www"',
      '{{index .Args 1}} {{index .Mounts 0 "Options" 0}} {{(index .Mounts 1).Source}}': 'b ro /y',
      '{{slice "hello" 1 3}} {{slice .Args 1}} {{len "é"}} {{len .Args}} {{len .Config.Env}}': 'el [b c] 2 3 0',
      '{{print 1 2 "a" "b" 3}} {{println "x"}}': '1 2ab3 x\n',
      '{{split "a/b" "/"}} {{lower "AB"}} {{title "one two"}} {{truncate "héllo" 3}} {{pad "x" 1 2}}|':
        '[a b] ab One Two hél  x  |',
    });
    for (const [text, wanted] of Object.entries({
      '{{index .Args 3}}': /index 3 is beyond the end: there are 3/,
      '{{index .Id "x"}}': /expected a whole number/,
      '{{upper .Args}}': /expected a text, found a list/,
      '{{len}}': /len takes 1 argument, not 0/,
      '{{.Label}}': /Label takes 1 argument, not 0/,
      '{{.Id "x"}}': /field Id takes no arguments/,
      '{{1 2}}': /only functions/,
      '{{range .Id}}{{end}}': /cannot range over a text/,
    }))
      assert.throws(() => render(text), wanted, text);
  });

  test('what cannot be parsed: line, column, what was expected', () => {
    for (const [text, wanted] of Object.entries({
      '{{.Id': /line 1, column 1: {{ is not closed: expected }}/,
      '{{}}': /column 3: expected a field, function, variable or value, found }}/,
      'é\n {{range .Args}}x': /line 2, column 2: {{range}} is not closed: expected {{end}}/,
      '{{end}}': /{{end}} without if, with or range/,
      '{{if .Id}}{{else}}{{else}}{{end}}': /a second {{else}}/,
      '{{else}}': /{{else}} without/,
      '{{break}}': /{{break}} outside a range/,
      '{{jsn .}}': /there is no function jsn; did you mean json\?/,
      '{{$x}}': /there is no variable \$x/,
      '{{$x = 1}}': /there is no variable \$x/,
      '{{"a}}': /the string that begins here is not closed: expected "/,
      '{{"\\q"}}': /unknown escape/,
      '{{(.Id}}': /expected \), found }}/,
      '{{.Id)}}': /expected }}, found \)/,
      '{{.Id | }}': /expected a field/,
      '{{.Id.}}': /expected a space/,
      '{{.Id "x"y}}': /expected a space/,
      '{{/* x}}': /comment is not closed/,
      '{{/* x */ y}}': /expected }} right after a comment/,
      '{{template "x"}}': /template is not supported/,
      '{{.Id # }}': /found "#"/,
      '{{$i, $v := .Args}}': /two variables are for range/,
      '{{1z}}': /expected a field/,
    }))
      assert.throws(
        () => compileTemplate(text),
        (error) => {
          assert.ok(error instanceof UsageError);
          assert.match(error.message, wanted, text);
          return true;
        },
        text,
      );
  });

  test('fields, isForList, heading', () => {
    assert.deepEqual(
      [...compileTemplate('{{range .}}{{(.A.B).C | printf "%s" .D}}{{else}}{{$.E}}{{end}}').fields].sort(),
      ['A', 'B', 'C', 'D', 'E'],
    );
    assert.equal(compileTemplate('{{range .}}x{{end}}').isForList, true);
    assert.equal(compileTemplate('{{range .Args}}x{{end}}').isForList, false);
    const heading = (text: string): string => compileTemplate(text).heading({ ID: 'CONTAINER ID' });
    assert.equal(heading('{{.ID}}\\t{{.CreatedAt}} {{.State.Status}}'), 'CONTAINER ID\tCREATED AT STATUS');
    assert.equal(heading('{{upper .ID}} {{.Label "com.x.my-app"}} {{truncate .Names 2}}'), 'CONTAINER ID my app NAMES');
    assert.equal(heading('{{printf "%-6s|%.2f" .Tag .CPU}} {{join .Names ","}} {{json .}}'), 'TAG   |CPU NAMES ');
    assert.equal(heading('{{range .Mounts}}{{.Source}}{{end}}'), 'SOURCE');
  });
});

describe('template and hostile input', () => {
  test('only own properties are looked at', () => {
    for (const name of ['constructor', '__proto__', 'toString', 'hasOwnProperty', 'length']) {
      assert.throws(() => compileTemplate(`{{.${name}}}`).render(data), UsageError, name);
      assert.throws(() => compileTemplate(`{{.Args.${name}}}`).render(data), UsageError, name);
      assert.equal(compileTemplate(`{{index .Config.Labels "${name}"}}`).render(data), '');
    }
    const own = JSON.parse('{"Labels":{"__proto__":"mine","constructor":"too"}}') as object;
    assert.equal(
      compileTemplate('{{.Labels.__proto__}} {{json .Labels}}').render(own),
      'mine {"__proto__":"mine","constructor":"too"}',
    );
  });

  test('size, depth, steps and output are capped', () => {
    assert.throws(() => compileTemplate('x'.repeat(70_000)), /more than 65536 characters/);
    assert.throws(() => compileTemplate('{{if 1}}'.repeat(200) + '{{end}}'.repeat(200)), /nested more than 100 deep/);
    assert.throws(() => compileTemplate(`{{${'('.repeat(200)}1${')'.repeat(200)}}}`), /nested more than 100 deep/);
    assert.throws(() => render('{{range 100000}}{{range 100000}}{{end}}{{end}}'), /more than 1000000 steps/);
    assert.throws(() => render('{{range 9000}}{{printf "%9000s" "x"}}{{end}}'), /more than \d+ (steps|characters)/);
    assert.equal(render('{{printf "%9000000s" "x"}}'), '%!(BADWIDTH)x');
    assert.throws(() => render('{{pad "x" 100000 1}}'), /pad takes at most/);
    let nested: unknown = 'x';
    for (let depth = 0; depth < 500; depth++) nested = [nested];
    assert.match(compileTemplate('{{.A}}').render({ A: nested }), /\.\.\./);
  });

  test('any text is a template or a UsageError, and rendering ends in a text or a UsageError', () => {
    const pieces = [
      '{{',
      '}}',
      '{{-',
      '-}}',
      ' ',
      '.',
      'Id',
      '.State',
      '.Args',
      '$x',
      '$',
      ':=',
      '=',
      '|',
      '(',
      ')',
      ',',
      '"a"',
      '`',
      '"',
      "'",
      '1',
      '-2.5',
      'if',
      'else',
      'end',
      'range',
      'with',
      'break',
      'continue',
      'json',
      'printf',
      '"%d%s%q%x"',
      'index',
      'and',
      'or',
      'eq',
      'len',
      'slice',
      'nil',
      'true',
      '/*',
      '*/',
      '\n',
      'é',
      '\u0000',
      '.Names',
      '.Label',
    ];
    let seed = 42;
    const random = (below: number): number => {
      seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0;
      return Math.floor((seed / 2 ** 32) * below);
    };
    let rendered = 0;
    for (let round = 0; round < 20_000; round++) {
      const inside = (): string =>
        Array.from({ length: 1 + random(6) }, () => pieces[random(pieces.length)]).join(random(2) === 0 ? ' ' : '');
      const text = random(2) === 0 ? inside() : Array.from({ length: 1 + random(4) }, () => `{{${inside()}}}`).join('');
      try {
        const template = compileTemplate(text);
        assert.equal(typeof template.heading({}), 'string');
        assert.equal(typeof template.render(data), 'string');
        rendered++;
      } catch (error) {
        assert.ok(error instanceof UsageError, `${JSON.stringify(text)}: ${String(error)}`);
        assert.match(error.message, /^Cannot use --format: line \d+, column \d+: /);
      }
    }
    assert.ok(rendered > 1000, String(rendered));
  });

  test('printed data comes back as it is: text, trimming aside, is never interpreted', () => {
    for (const value of ['{{.Id}}', '\\t', '%d', '"', '\u001b[0m', '<no value>']) {
      assert.equal(compileTemplate('[{{.V}}]').render({ V: value }), `[${value}]`);
      assert.equal(compileTemplate('{{printf "%s" .V}}').render({ V: value }), value);
      assert.equal(JSON.parse(compileTemplate('{{json .V}}').render({ V: value })), value);
      assert.equal(compileTemplate(`{{${JSON.stringify(value).replaceAll('\\t', '\\t')}}}`).render({}), value);
    }
  });
});
