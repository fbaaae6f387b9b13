/** Completion in the real shells, and what they ask for. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { needs } from '../support/needs.ts';
import { onTerminal } from './pty.ts';
import { Lab, canRun, launcher } from './tare.ts';

const noBashCompletion = !existsSync('/usr/share/bash-completion/bash_completion') && 'needs bash-completion';

describe('completion', { skip: canRun, concurrency: 1 }, () => {
  let lab: Lab;
  let env: Record<string, string>;
  before(async () => {
    lab = new Lab();
    env = {
      ...(process.env as Record<string, string>),
      ...lab.env,
      PATH: `${dirname(launcher)}:${process.env['PATH'] ?? ''}`,
    };
    for (const [verb, name, ...rest] of [
      ['create', 'cold-one', 'true'],
      ['run', 'warm-one', 'sleep', '1000'],
      ['run', 'warm-two', 'sleep', '1000'],
    ] as const) {
      const { code, stderr } = await lab.tare([
        verb,
        ...(verb === 'run' ? ['-d'] : []),
        '--name',
        name,
        'host:',
        ...rest,
      ]);
      assert.equal(code, 0, stderr);
    }
    mkdirSync(join(lab.dir, 'files/below'), { recursive: true });
    writeFileSync(join(lab.dir, 'files/archive.tar'), '');
  });
  after(() => lab[Symbol.dispose]());

  async function answer(...words: string[]): Promise<string[]> {
    const { code, stdout, stderr } = await lab.tare(['__complete', '--', ...words]);
    assert.equal(code, 0, stderr);
    return stdout
      .split('\n')
      .slice(0, -1)
      .map((line) => line.split('\t')[0] ?? '');
  }

  test('verbs, groups, flags, values, names; what is typed need not be right', async () => {
    assert.deepEqual(await answer('ima'), ['images', 'image', ':words']);
    assert.deepEqual(await answer('image', 'pr'), ['prune', ':words']);
    assert.deepEqual(await answer('help', 'vers'), ['version', ':words']);
    assert.deepEqual(await answer('--log-level', ''), ['debug', 'info', 'warn', 'error', ':words']);
    assert.deepEqual(await answer('--log-level=de'), ['--log-level=debug', ':words']);
    assert.deepEqual(await answer('--debug', 'ps', '--no'), ['--no-trunc', '--noheading', ':words']);
    assert.deepEqual(await answer('ps', '--sort', 'na'), ['names', ':words']);
    assert.deepEqual(await answer('ps', '-a', '--filter', 'sta'), ['status=', ':open']);
    assert.deepEqual(await answer('ps', '--filter=status=r'), [
      '--filter=status=running',
      '--filter=status=restarting',
      '--filter=status=removing',
      ':words',
    ]);
    assert.deepEqual(await answer('ps', '--format', ''), ['json', 'table', ':words']);
    assert.deepEqual(await answer('run', '--network=h'), ['--network=host', ':open']);
    assert.deepEqual(await answer('run', '-itv', ''), [':files']);
    assert.deepEqual(await answer('run', '-e', 'TARE_RO'), ['TARE_ROOT', ':words']);
    assert.deepEqual(await answer('run', '--rm', 'host:', '--na'), [':words'], 'the rest belongs to the container');
    assert.deepEqual(await answer('run', '--rm', 'ho'), ['host:', ':words']);
    assert.deepEqual(await answer('stop', ''), ['warm-two', 'warm-one', ':words']);
    assert.deepEqual(await answer('container', 'stop', 'warm-one', 'w'), ['warm-two', ':words']);
    assert.deepEqual(await answer('start', ''), ['cold-one', ':words']);
    assert.deepEqual(await answer('init', ''), ['cold-one', ':words']);
    assert.equal((await lab.tare(['init', 'cold-one'])).code, 0);
    assert.deepEqual(await answer('init', ''), [':words']);
    assert.deepEqual(await answer('start', ''), ['cold-one', ':words']);
    assert.deepEqual(await answer('stop', 'cold'), ['cold-one', ':words']);
    assert.deepEqual(await answer('exec', 'cold'), [':words']);
    assert.equal((await lab.tare(['stop', 'cold-one'])).code, 0);
    assert.deepEqual(await answer('inspect', 'col'), ['cold-one', ':words']);
    assert.deepEqual(await answer('exec', '-it', 'wa'), ['warm-two', 'warm-one', ':words']);
    assert.deepEqual(await answer('exec', 'warm-one', ''), [':words']);
    assert.deepEqual(await answer('completion', ''), ['bash', 'zsh', 'fish', ':words']);
    assert.deepEqual(await answer('--root', '/nonexistent', 'stop', ''), [':words']);
    const id = (await lab.tare(['ps', '-aqf', 'name=cold'])).stdout.trim();
    assert.deepEqual(await answer('rm', id.slice(0, 11)), [id, ':words']);
    for (const words of [
      [],
      [''],
      ['nonsense', ''],
      ['ps', '--nonsense', ''],
      ['container', 'nonsense', ''],
      ['--', ''],
      ['toString', ''],
    ])
      assert.match((await answer(...words)).at(-1) ?? '', /^:\w+$/, words.join(' '));
    for (const name of ['data', 'database', 'other'])
      assert.equal((await lab.tare(['volume', 'create', name])).code, 0);
    assert.deepEqual(await answer('volume', 'in'), ['inspect', ':words']);
    assert.deepEqual(await answer('volume', 'rm', 'da'), ['data', 'database', ':words']);
    assert.deepEqual(await answer('volume', 'rm', 'data', 'da'), ['database', ':words']);
    assert.deepEqual(await answer('run', '-v', 'da'), ['data', 'database', ':files']);
    assert.deepEqual(await answer('run', '-v', '/'), [':files']);
    assert.deepEqual(await answer('volume', 'ls', '--filter', 'dangling='), [
      'dangling=true',
      'dangling=false',
      ':words',
    ]);
    assert.deepEqual(await answer('run', '--volumes-from', 'cold'), ['cold-one', ':words']);
    assert.equal((await lab.tare(['completion', 'tcsh'])).code, 125);
  });

  test('bash: what the function answers, where bash splits words', { skip: needs.program('bash') }, () => {
    const script = String.raw`source <(tare completion bash)
while IFS= read -r line; do
  COMP_LINE=$line COMP_POINT=${'$'}{#line}
  # As readline splits: also at = and :, which are words of their own.
  read -ra COMP_WORDS <<<"$(sed -E 's/([=:]+)/ \1 /g' <<<"$line")"
  [[ $line == *[' =:'] ]] && COMP_WORDS+=("")
  COMP_CWORD=$((${'$'}{#COMP_WORDS[@]} - 1)) COMPREPLY=()
  _tare
  echo "${'$'}{COMPREPLY[*]}"
done`;
    const cases: Record<string, string> = {
      'tare imag': 'images image',
      'tare ps --no': '--no-trunc --noheading',
      'tare ps --filter status=r': 'running restarting removing',
      'tare ps --filter=status=ru': 'running',
      'tare ps --filter sta': 'status=',
      'tare run --network=': 'bridge host none',
      'tare stop w': 'warm-two warm-one',
      'tare   stop   ': 'warm-two warm-one',
      'tare run ho': 'host:',
      'tare run host:': '',
      [`tare save -o ${lab.dir}/files/`]: `${lab.dir}/files/below ${lab.dir}/files/archive.tar`,
      'tare nonsense ': '',
    };
    const { stdout, stderr } = spawnSync('bash', ['--norc', '-c', script], {
      encoding: 'utf8',
      env,
      input: Object.keys(cases)
        .map((line) => `${line}\n`)
        .join(''),
    });
    assert.equal(stderr.replace(/^.*compopt.*\n/gm, ''), '');
    const sorted = (text: string): string => text.split(' ').sort().join(' ');
    assert.deepEqual(stdout.split('\n').slice(0, -1).map(sorted), Object.values(cases).map(sorted));
  });

  for (const [shell, argv, prepare] of [
    [
      'bash',
      ['bash', '--norc', '--noprofile', '-i'],
      'PS1="ready> "; bind "set bell-style none"; source /usr/share/bash-completion/bash_completion; source <(tare completion bash)',
    ],
    [
      'zsh',
      ['zsh', '-f', '-i'],
      'PS1="ready> "; unsetopt beep; autoload -Uz compinit; compinit -u -D; source <(tare completion zsh)',
    ],
  ] as const) {
    test(
      `${shell}: Tab in a real one`,
      { skip: needs.program(shell, 'python3') || (shell === 'bash' && noBashCompletion) },
      async () => {
        const result = await onTerminal(
          argv,
          [
            ['send', `${prepare}; echo pre"pared"\r`],
            ['expect', 'prepared'],
            ['send', 'echo begin; tare sto\t'],
            ['expect', 'tare stop '],
            ['send', 'warm-o\t'],
            ['expect', 'warm-one '],
            ['send', '\x15echo; tare ps -a --filter sta\t'],
            ['expect', 'status='],
            ['send', 'cr\t'],
            ['expect', 'created '],
            ['send', "--format '{{.Names}}<'\r"],
            ['expect', 'cold-one<'],
            ['send', `tare save -o ${lab.dir}/files/arch\t`],
            ['expect', 'files/archive.tar'],
            ['send', '\x15exit\r'],
          ],
          { env: { ...env, TERM: 'dumb', HOME: lab.dir, ZDOTDIR: lab.dir, INPUTRC: '/dev/null' }, timeout: 50 },
        );
        assert.equal(result.failed, null, result.output);
      },
    );
  }

  test('fish: what a real one offers', { skip: needs.program('fish') }, () => {
    const offers = (line: string): string[] => {
      const { status, stdout, stderr } = spawnSync(
        'fish',
        ['--no-config', '-c', 'tare completion fish | source; complete -C $argv[1]', line],
        { encoding: 'utf8', env: { ...env, HOME: lab.dir, XDG_CONFIG_HOME: lab.dir, XDG_DATA_HOME: lab.dir } },
      );
      assert.equal(status, 0, stderr);
      return stdout
        .split('\n')
        .slice(0, -1)
        .map((entry) => entry.split('\t')[0] ?? '')
        .sort();
    };
    assert.deepEqual(offers('tare ima'), ['image', 'images']);
    assert.deepEqual(offers('tare stop w'), ['warm-one', 'warm-two']);
    assert.deepEqual(offers('tare ps --filter status=ru'), ['status=running']);
    assert.deepEqual(offers('tare ps --sort=na'), ['--sort=names']);
    assert.deepEqual(offers('tare start '), ['cold-one']);
    assert.deepEqual(offers(`tare save -o ${lab.dir}/files/arch`), [`${lab.dir}/files/archive.tar`]);
  });
});
