/** Templates beside Go's own text/template: podman is the reference. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { test } from 'node:test';
import { compileTemplate } from '../../src/cli/template/template.ts';
import { isKind } from '../../src/base/errors.ts';
import { needs } from '../support/needs.ts';

const skip = needs.program('podman');

/** What podman makes of a template over its version; undefined when it refuses. */
function podman(template: string): string | undefined {
  const { status, stdout } = spawnSync('podman', ['version', '--format', template], { encoding: 'utf8' });
  return status === 0 ? stdout.replace(/\n$/, '') : undefined;
}

function ours(template: string, data: unknown): string | undefined {
  try {
    return compileTemplate(template).render(data).replace(/\n$/, '');
  } catch (error) {
    assert.ok(isKind(error, 'invalid'), String(error));
    return undefined;
  }
}

/** Templates that need no data: functions, verbs of printf, control, variables, trimming. */
const templates: readonly string[] = [
  'plain {{"text"}}',
  '{{printf "%d|%5d|%-5d|%05d|%+d|% d" 3 3 3 3 3 3}}',
  '{{printf "%s|%10s|%-10s|%.2s|%q|%#q|%x|%X|% x" "héllo" "hé" "hé" "héllo" "a\\"\\n\\u00e9\\x00" "raw" "hi" "hi" "hi"}}',
  '{{printf "%f|%.2f|%8.3f|%-8.1f|%08.3f|%e|%.3e|%g|%G|%.3g" 3.14159 3.14159 3.14159 3.14159 -3.14159 1234.5678 1234.5678 0.00001 0.00001 1234.5678}}',
  '{{printf "%t|%v|%5t|%v|%v|%v" true false true nil 1.5 "x"}}',
  '{{printf "%x|%X|%#x|%o|%b|%c|%q|%U|%T|%T|%T" 255 255 255 8 5 65 65 128512 1 "a" true}}',
  '{{printf "%*d|%-*d|%.*f" 5 42 5 42 2 1.23456}}',
  '{{printf "%d" "x"}}|{{printf "%s" 1}}|{{printf "%t" 1}}|{{printf "%s" true}}|{{printf "%d" nil}}|{{printf "%z" 1}}',
  '{{printf "%d"}}|{{printf "%d %d" 1}}|{{printf "x" 1 "a"}}|{{printf "100%%"}}|{{printf "%"}}|{{printf "%!"}}',
  '{{print 1 2 "a" "b" 3 4.5 true nil}}|{{println "x" 1 2}}|{{print}}',
  '{{split "a,b,c" ","}} {{join (split "a,b,c" ",") "+"}} {{len (split "a,b" ",")}} {{index (split "a,b" ",") 1}}',
  '{{title "hello wörld it\'s x_y 3d"}} {{upper "aé"}} {{lower "AÉ"}} {{truncate "hello" 3}} {{truncate "hi" 9}}',
  '[{{pad "x" 2 3}}] [{{pad "" 2 3}}] {{json "a<b>&\\"é\\u0001"}} {{json 1.5}} {{json true}} {{json (split "a b" " ")}}',
  '{{len "é"}} {{slice "hello" 1 3}} {{slice "hello" 2}} {{index "abc" 1}} {{slice (split "a b c" " ") 1}}',
  '{{and 1 0}} {{and 1 2}} {{or 0 ""}}| {{or "" "x"}} {{not 0}} {{not "x"}} {{and true (eq 1 1)}}',
  '{{eq 1 1}} {{eq 1 2 3 1}} {{ne "a" "b"}} {{lt 1 2}} {{lt "a" "b"}} {{le 2 2}} {{gt 1.5 1.2}} {{ge "b" "a"}} {{eq true true}}',
  '{{eq 1 "1"}}',
  '{{lt "a" 1}}',
  '{{eq (split "a" ",") (split "a" ",")}}',
  '{{if true}}a{{else}}b{{end}}{{if ""}}a{{else if 0}}b{{else}}c{{end}}{{with "x"}}{{.}}{{end}}{{with ""}}y{{else}}z{{end}}',
  '{{range split "a,b,c" ","}}<{{.}}>{{end}}{{range $i, $v := split "a,b" ","}}{{$i}}={{$v}};{{else}}x{{end}}',
  '{{range split "a,b,c,d" ","}}{{if eq . "b"}}{{continue}}{{end}}{{if eq . "d"}}{{break}}{{end}}{{.}}{{end}}',
  '{{$x := 1}}{{$x}}{{if true}}{{$x = 2}}{{$x := 3}}{{$x}}{{end}}{{$x}}{{with $y := "z"}}{{$y}}{{end}}',
  '{{range $v := split "a,b" ","}}{{$v}}{{end}}{{"x" | printf "%s-%s" "y" | upper | printf "%q"}}',
  'a {{- "b" -}} c {{/* note */}} d {{- /* x */ -}} e\\tf\\ng',
  '  {{- "x"}} {{"y" -}}  \n z',
  "{{`raw\\n\"`}} {{'a'}} {{0x1F}} {{-7}} {{1_000}} {{017}} {{1.50}} {{1e-7}} {{.5}}",
  '{{printf "%v %v" (printf "%d" 1) (len (printf "%03d" 7))}} {{(print 1 2)}}',
  // Refused by both.
  '{{.NoSuchField}}',
  '{{.Client.Nonsense}}',
  '{{.Client.Version.X}}',
  '{{if}}x{{end}}',
  '{{range 1',
  '{{end}}',
  '{{else}}',
  '{{if true}}',
  '{{nosuchfunction 1}}',
  '{{$undefined}}',
  '{{"unterminated}}',
  '{{len}}',
  '{{len 1}}',
  '{{len 1 2}}',
  '{{upper 1}}',
  '{{1 2}}',
  '{{"a" | 1}}',
  '{{index (split "a" ",") 5}}',
  '{{slice "abc" 2 1}}',
  '{{break}}',
  '{{/* open',
  '{{}}',
  '{{|}}',
  '{{(1}}',
  '{{1)}}',
  '{{.Client.Version "x"}}',
  '{{range "text"}}{{end}}',
  '{{$x := 1 $y}}',
  // Fields.
  '{{.Client.Version}} {{$.Client.Version}} {{with .Client}}{{.Version}} {{$.Client.APIVersion}}{{end}} {{(.Client).Version}}',
  '{{json .Client.Version}} {{.Client.Version | printf "%-10s|"}} {{if .Client}}yes{{end}} {{if .Server}}no{{else}}none{{end}}',
];

test('templates: what Go prints, and what Go refuses', { skip }, () => {
  const { stdout } = spawnSync('podman', ['version', '--format', 'json'], { encoding: 'utf8' });
  // The JSON leaves out what is nothing.
  const data = { Server: null, ...(JSON.parse(stdout) as object) };
  for (const template of templates) assert.equal(ours(template, data), podman(template), template);
});
