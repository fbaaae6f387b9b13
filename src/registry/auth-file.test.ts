import assert from 'node:assert/strict';
import {
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
  lstatSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { TareError, isKind } from '../base/errors.ts';
import { mutations } from '../../test/support/mutate.ts';
import { clearAuths, parseAuthFile, readAuthFile, writeAuth } from './auth-file.ts';

const pair = (text: string): string => Buffer.from(text).toString('base64');

const full = JSON.stringify({
  auths: {
    'a.example': { auth: pair('ann:s3cret:with colons') },
    'b.example/team': { auth: pair('bob:pw\0\0') },
    'c.example': { auth: pair('00000000-0000-0000-0000-000000000000:'), identitytoken: 'refresh' },
    'd.example': { username: 'dan', password: 'pässword' },
    'e.example': {},
  },
  credHelpers: { 'f.example': 'ecr-login' },
  credsStore: 'desktop',
  HttpHeaders: { 'User-Agent': 'x' },
});

function inDir(body: (dir: string) => void): void {
  const dir = mkdtempSync(join(tmpdir(), 'tare-auth-'));
  try {
    body(dir);
  } finally {
    rmSync(dir, { recursive: true });
  }
}

describe('parseAuthFile()', () => {
  test('reads passwords, identity tokens, helpers, and keys without credentials', () => {
    const file = parseAuthFile(full, 'auth.json');
    assert.deepEqual(Object.fromEntries(file.auths), {
      'a.example': { username: 'ann', password: 's3cret:with colons' },
      'b.example/team': { username: 'bob', password: 'pw' },
      'c.example': { username: '00000000-0000-0000-0000-000000000000', identityToken: 'refresh' },
      'd.example': { username: 'dan', password: 'pässword' },
    });
    assert.deepEqual([...file.credHelpers], [['f.example', 'ecr-login']]);
    assert.equal(file.credsStore, 'desktop');
    assert.deepEqual(file.keys, ['a.example', 'b.example/team', 'c.example', 'd.example', 'e.example']);
  });

  test('reads the older .dockercfg, and an empty file as one without entries', () => {
    const text = JSON.stringify({ 'https://index.docker.io/v1/': { auth: pair('ann:x'), email: 'a@b' } });
    assert.deepEqual(
      [...parseAuthFile(text, '/home/a/.dockercfg').auths],
      [['https://index.docker.io/v1/', { username: 'ann', password: 'x' }]],
    );
    assert.equal(parseAuthFile('', 'auth.json').auths.size, 0);
  });

  test('what is no auth file is invalid, and no word of it gets into the message', () => {
    for (const text of [
      '{"auths":{"a":{"auth":"hunter2',
      '[]',
      '"hunter2"',
      '{"auths":[]}',
      '{"auths":{"a":"hunter2"}}',
      '{"auths":{"a":{"auth":7}}}',
      `{"auths":{"a":{"auth":"${pair('hunter2')}"}}}`,
      '{"auths":{"a":{"auth":"$$$hunter2:x"}}}',
      '{"credHelpers":{"a":"../hunter2"}}',
      '{"credHelpers":{"a":"UPPER"}}',
      '{"credsStore":"a b"}',
    ]) {
      assert.throws(
        () => parseAuthFile(text, '/etc/auth.json'),
        (error) =>
          isKind(error, 'invalid') && error.message.includes('/etc/auth.json') && !/hunter/.test(error.message),
        text,
      );
    }
  });

  test('damaged anywhere it is an auth file or a TareError', () => {
    for (const text of mutations(full, 3000)) {
      try {
        parseAuthFile(text, 'auth.json');
      } catch (error) {
        assert.ok(error instanceof TareError, String(error));
      }
    }
  });
});

describe('writeAuth()', () => {
  test('makes folders and the file for its owner only, and reads back', () => {
    inDir((dir) => {
      const path = join(dir, 'run/containers/auth.json');
      assert.equal(writeAuth(path, 'a.example', { username: 'ann', password: 'a:ß' }), false);
      assert.equal(statSync(path).mode & 0o777, 0o600);
      assert.equal(statSync(join(dir, 'run/containers')).mode & 0o777, 0o700);
      assert.deepEqual(readAuthFile(path)?.auths.get('a.example'), { username: 'ann', password: 'a:ß' });
      assert.equal(writeAuth(path, 'a.example', { identityToken: 'refresh' }), true);
      assert.deepEqual(readAuthFile(path)?.auths.get('a.example'), { identityToken: 'refresh' });
      assert.deepEqual(readdirSync(join(dir, 'run/containers')), ['auth.json']);
    });
  });

  test('keeps what it does not know, removes only its key, and keeps a link a link', () => {
    inDir((dir) => {
      const [real, path] = [join(dir, 'real.json'), join(dir, 'auth.json')];
      writeFileSync(real, full);
      symlinkSync('real.json', path);
      assert.equal(writeAuth(path, 'a.example', undefined), true);
      assert.equal(writeAuth(path, 'nobody.example', undefined), false);
      assert.ok(lstatSync(path).isSymbolicLink());
      const before = JSON.parse(full) as { auths: Record<string, unknown> };
      delete before.auths['a.example'];
      assert.deepEqual(JSON.parse(readFileSync(real, 'utf8')), before);
      clearAuths(path);
      assert.deepEqual(JSON.parse(readFileSync(real, 'utf8')), { ...before, auths: {} });
    });
  });

  test('a key is only a key: __proto__ and constructor too', () => {
    inDir((dir) => {
      const path = join(dir, 'auth.json');
      for (const key of ['__proto__', 'constructor']) {
        assert.equal(writeAuth(path, key, { username: 'a', password: 'b' }), false, key);
        assert.equal(writeAuth(path, key, undefined), true, key);
      }
    });
  });

  test('removing from a file that is not there makes none; a broken one is not replaced', () => {
    inDir((dir) => {
      const path = join(dir, 'auth.json');
      assert.equal(writeAuth(path, 'a', undefined), false);
      assert.equal(readAuthFile(path), undefined);
      writeFileSync(path, '{"auths":');
      assert.throws(
        () => writeAuth(path, 'a', { username: 'a', password: 'b' }),
        (error) => isKind(error, 'invalid'),
      );
      assert.equal(readFileSync(path, 'utf8'), '{"auths":');
    });
  });
});
