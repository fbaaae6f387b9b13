import assert from 'node:assert/strict';
import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { pluginVersions } from './choose-version.ts';
import { runPlugin } from './run-plugin.ts';

/** Plugins that misbehave. */
class Plugins implements Disposable {
  readonly dir = mkdtempSync(join(tmpdir(), 'tare-cni-'));

  add(name: string, script: string): void {
    writeFileSync(join(this.dir, name), `#!/bin/sh\n${script}\n`);
    chmodSync(join(this.dir, name), 0o755);
  }

  run(
    type: string,
    how: { timeoutMs?: number; signal?: AbortSignal; command?: 'ADD' | 'DEL' } = {},
  ): ReturnType<typeof runPlugin> {
    const { timeoutMs = 20_000, signal, command = 'ADD' } = how;
    const call = {
      command,
      containerId: 'c1',
      netns: '/n',
      ifname: 'eth0',
      args: [['A', '1'] as const, ['B', '2'] as const],
    };
    return runPlugin({ pluginDirs: ['/nowhere', this.dir], timeoutMs }, type, call, { name: 'web' }, { signal });
  }

  [Symbol.dispose](): void {
    rmSync(this.dir, { recursive: true });
  }
}

test('runPlugin: its environment is CNI_* and a PATH, its input the configuration', async () => {
  using plugins = new Plugins();
  plugins.add(
    'show',
    `read input; env | sort | grep -v -e ^PWD= -e ^_= -e ^SHLVL= > ${plugins.dir}/env; echo "{\\"said\\":$input}"`,
  );
  assert.deepEqual(await plugins.run('show'), { said: { name: 'web' } });
  assert.equal(
    readFileSync(join(plugins.dir, 'env'), 'utf8'),
    `CNI_ARGS=A=1;B=2\nCNI_COMMAND=ADD\nCNI_CONTAINERID=c1\nCNI_IFNAME=eth0\nCNI_NETNS=/n\nCNI_PATH=/nowhere:${plugins.dir}\nPATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\n`,
  );
});

test('runPlugin: what goes wrong is one clear error', async () => {
  using plugins = new Plugins();
  plugins.add('code', `echo '{"cniVersion":"1.0.0","code":7,"msg":"no subnet","details":"in ipam\\u001b[2J"}'; exit 1`);
  plugins.add('own', `echo '{"code":142,"msg":"busy"}'; exit 1`);
  plugins.add('words', 'echo one >&2; echo "it broke" >&2; exit 3');
  plugins.add('silent', 'exit 4');
  plugins.add('dies', 'kill -9 $$');
  plugins.add('text', 'echo hello');
  plugins.add('list', 'echo "[]"');
  plugins.add('empty', 'true');
  plugins.add('large', 'exec yes');
  plugins.add('nobody', '');
  writeFileSync(join(plugins.dir, 'nobody'), '#!/no/such/shell\n');
  plugins.add('noise', 'yes >&2 & sleep 0.3; kill $!; echo "{}"');
  writeFileSync(join(plugins.dir, 'data'), 'x', { mode: 0o644 });
  for (const [type, kind, message] of [
    [
      'code',
      'invalid',
      /^Cannot join CNI network web: plugin code: no subnet; in ipam \[2J \(code 7: invalid configuration\)$/,
    ],
    ['own', 'unavailable', /: busy \(code 142\)$/],
    ['words', 'unavailable', /: it ended with 3: it broke$/],
    ['silent', 'unavailable', /: it ended with 4$/],
    ['dies', 'unavailable', /: it was killed by SIGKILL$/],
    ['text', 'invalid', /: its answer is none: not JSON/],
    ['list', 'invalid', /: its answer is none: expected an object$/],
    ['empty', 'invalid', /: its answer is none: not JSON/],
    ['large', 'exhausted', /: it printed more than 1048576 bytes$/],
    ['nobody', 'unavailable', /: .*\/nobody cannot be run: spawn .* ENOENT$/],
    [
      'data',
      'not-found',
      /^Cannot find CNI plugin data: there is none in \/nowhere, .* \(Debian: apt-get install containernetworking-plugins\)$/,
    ],
    ['../code', 'invalid', /^Cannot use CNI plugin "\.\.\/code": it is no name$/],
    ['/bin/sh', 'invalid', /it is no name$/],
  ] as const)
    await assert.rejects(plugins.run(type), { kind, message }, type);
  assert.deepEqual(await plugins.run('noise'), {});
  // What it prints for a DEL is nobody's business.
  assert.deepEqual(await plugins.run('text', { command: 'DEL' }), {});
});

test('runPlugin: one that hangs is killed with all that it started; one that left somebody behind is not waited for', async () => {
  using plugins = new Plugins();
  plugins.add('hangs', `sh -c 'sleep 1; touch ${plugins.dir}/late' & wait`);
  await assert.rejects(plugins.run('hangs', { timeoutMs: 200 }), {
    kind: 'deadline',
    message: /^Cannot join CNI network web: plugin hangs: it took more than 200 ms, and was killed$/,
  });
  const controller = new AbortController();
  const cancelled = plugins.run('hangs', { signal: controller.signal });
  setTimeout(() => controller.abort(), 100);
  await assert.rejects(cancelled, { kind: 'cancelled' });
  await sleep(1200);
  assert.equal(existsSync(join(plugins.dir, 'late')), false);
  plugins.add('daemon', 'sleep 5 & echo "{}"');
  const began = performance.now();
  assert.deepEqual(await plugins.run('daemon'), {});
  assert.ok(performance.now() - began < 4000);
});

test('pluginVersions: as it says, and the first where it does not know the question', async () => {
  using plugins = new Plugins();
  plugins.add('new', `echo '{"cniVersion":"1.0.0","supportedVersions":["0.3.1","1.0.0","7.0.0"]}'`);
  plugins.add('old', `echo '{"code":4,"msg":"unknown CNI_COMMAND: VERSION"}'; exit 1`);
  plugins.add('wrong', `echo '{"supportedVersions":"1.0.0"}'`);
  const ground = { pluginDirs: [plugins.dir] };
  assert.deepEqual(await pluginVersions(ground, 'new'), ['0.3.1', '1.0.0']);
  assert.deepEqual(await pluginVersions(ground, 'old'), ['0.1.0']);
  await assert.rejects(pluginVersions(ground, 'wrong'), {
    kind: 'invalid',
    message: /supportedVersions: expected a list/,
  });
});
