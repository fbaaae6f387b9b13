import assert from 'node:assert/strict';
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { isKind, type ErrorKind } from '../base/errors.ts';
import { parseRepositoryPath } from '../spec/mod.ts';
import { helperErase, helperGet, helperStore } from './credential-helper.ts';
import { findCredentials, keysOf } from './find-credentials.ts';

const dir = mkdtempSync(join(tmpdir(), 'tare-find-'));
after(() => rmSync(dir, { recursive: true }));
const env = { PATH: `${dir}:/usr/bin:/bin` };
let count = 0;

/** An auth file with these users; everybody's password is "x". */
function file(users: Record<string, string>, more: Record<string, unknown> = {}): string {
  const path = join(dir, `auth-${count++}.json`);
  const auths = Object.fromEntries(
    Object.entries(users).map(([key, user]) => [key, { auth: Buffer.from(`${user}:x`).toString('base64') }]),
  );
  writeFileSync(path, JSON.stringify({ auths, ...more }));
  return path;
}

function helper(name: string, script: string): string {
  const path = join(dir, `docker-credential-${name}`);
  writeFileSync(path, `#!/bin/sh\n${script}\n`);
  chmodSync(path, 0o755);
  return name;
}

async function find(paths: readonly string[], registry: string, repository?: string): Promise<string | undefined> {
  const path = repository === undefined ? undefined : parseRepositoryPath(repository);
  const found = await findCredentials(paths, registry, path, { env });
  return found && ('identityToken' in found ? `token ${found.identityToken}` : found.username);
}

describe('findCredentials()', () => {
  test('takes the longest key that fits, of the first file that has one', async () => {
    const paths = [
      join(dir, 'none'),
      file({ 'a.example/team/app': 'app', 'a.example/team': 'team' }),
      file({ 'a.example': 'all', 'b.example': 'b' }),
    ];
    assert.equal(await find(paths, 'a.example', 'team/app'), 'app');
    assert.equal(await find(paths, 'a.example', 'team/other/x'), 'team');
    assert.equal(await find(paths, 'a.example', 'teammate'), 'all');
    assert.equal(await find(paths, 'a.example'), 'all');
    assert.equal(await find(paths, 'b.example', 'x'), 'b');
    assert.equal(await find(paths, 'c.example', 'x'), undefined);
    assert.equal(await find(paths, 'a.example:5000', 'x'), undefined);
    assert.deepEqual(keysOf('h', 'a/b'), ['h/a/b', 'h/a', 'h']);
  });

  test('knows the several names of docker.io, and addresses as keys', async () => {
    for (const key of ['docker.io', 'https://index.docker.io/v1/', 'index.docker.io', 'registry-1.docker.io'])
      assert.equal(await find([file({ [key]: 'hub' })], 'docker.io', 'library/busybox'), 'hub', key);
    assert.equal(await find([file({ 'https://a.example/v1/': 'a' })], 'a.example', 'x'), 'a');
    assert.equal(await find([file({ 'https://a.example.evil/v1/': 'a' })], 'a.example', 'x'), undefined);
  });

  test('a helper named for a key comes before entries, one for everything after them', async () => {
    helper('named', 'read -r server; echo "{\\"Username\\":\\"$server\\",\\"Secret\\":\\"s\\"}"');
    helper('store', 'echo "{\\"Username\\":\\"<token>\\",\\"Secret\\":\\"t\\"}"');
    helper('empty', 'echo credentials not found in native keychain; exit 1');
    const path = file(
      { 'a.example': 'entry', 'b.example': 'entry' },
      { credHelpers: { 'a.example': 'named', 'docker.io': 'named' }, credsStore: 'store' },
    );
    assert.equal(await find([path], 'a.example', 'x'), 'a.example');
    assert.equal(await find([path], 'docker.io', 'x'), 'https://index.docker.io/v1/');
    assert.equal(await find([path], 'b.example', 'x'), 'entry');
    assert.equal(await find([path], 'c.example', 'x'), 'token t');
    const empty = file({ 'a.example': 'entry' }, { credHelpers: { 'a.example': 'empty' }, credsStore: 'empty' });
    assert.equal(await find([empty], 'a.example', 'x'), 'entry');
    assert.equal(await find([empty], 'd.example', 'x'), undefined);
  });
});

describe('credential helpers', () => {
  const fails = (promise: Promise<unknown>, kind: ErrorKind, words: RegExp): Promise<void> =>
    assert.rejects(promise, (error) => {
      assert.ok(isKind(error, kind), String(error));
      assert.match(error.message, words);
      return true;
    });

  test('one that is absent, fails, talks nonsense or without end, or hangs, is an error', async () => {
    await fails(helperGet('absent', 'a', { env }), 'not-found', /no program docker-credential-absent/);
    await fails(
      helperGet(helper('fails', 'echo "locked \u001b[2J up"; exit 3'), 'a', { env }),
      'unavailable',
      /ended with 3 \(locked +\[2J up\)/,
    );
    await fails(helperGet(helper('text', 'echo hello'), 'a', { env }), 'invalid', /not JSON/);
    await fails(helperGet(helper('half', 'echo "{}"'), 'a', { env }), 'invalid', /no user name and secret/);
    await fails(helperGet(helper('endless', 'exec cat /dev/zero'), 'a', { env }), 'invalid', /longer than/);
    await fails(helperGet(helper('hangs', 'exec sleep 60'), 'a', { env, timeoutMs: 100 }), 'unavailable', /too long/);
  });

  test('a name that is no name runs nothing', async () => {
    for (const name of ['', '../x', 'a b', 'a;b', '$(x)', 'A'])
      await fails(helperGet(name, 'a', { env }), 'invalid', /characters it may not have/);
  });

  test('store sends the secret over standard input; erase of nothing is no error', async () => {
    const out = join(dir, 'stored');
    helper('writes', `echo "$@" >${out}; cat >>${out}`);
    await helperStore('writes', 'a.example', { username: 'ann', password: 'p"w' }, { env });
    assert.equal(readFileSync(out, 'utf8'), 'store\n{"ServerURL":"a.example","Username":"ann","Secret":"p\\"w"}\n');
    await helperErase('empty', 'a.example', { env });
    await fails(helperErase('fails', 'a.example', { env }), 'unavailable', /erase ended with 3/);
  });
});
