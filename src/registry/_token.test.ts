import assert from 'node:assert/strict';
import { test } from 'node:test';
import { mutations } from '../../test/support/mutate.ts';
import { TareError, isKind } from '../base/errors.ts';
import { parseChallenges, parseToken, tokenRequest } from './_token.ts';

const header =
  'Basic realm="a \\"b\\"", Bearer realm="https://tokens.example/t?x=1",service=reg , scope="a:b:c d:e:f",error=x';

test('parseChallenges() reads several challenges, quoted or not', () => {
  const shown = parseChallenges(header).map(({ scheme, parameters }) => [scheme, Object.fromEntries(parameters)]);
  assert.deepEqual(shown, [
    ['basic', { realm: 'a "b"' }],
    ['bearer', { realm: 'https://tokens.example/t?x=1', service: 'reg', scope: 'a:b:c d:e:f', error: 'x' }],
  ]);
  assert.deepEqual(parseChallenges(''), []);
  assert.deepEqual(
    parseChallenges('Negotiate, Basic').map(({ scheme }) => scheme),
    ['negotiate', 'basic'],
  );
});

test('a challenge that is damaged anywhere gets credentials only to https, or is refused', () => {
  const registry = new URL('https://registry.example');
  const credentials = { username: 'ann', password: 'secret' };
  for (const damaged of mutations(header, 3000)) {
    for (const challenge of parseChallenges(damaged)) {
      try {
        const { url } = tokenRequest(challenge, registry, { scopes: ['a'], credentials, insecure: false });
        assert.equal(url.protocol, 'https:', damaged);
        assert.equal(url.username + url.password, '', damaged);
      } catch (error) {
        assert.ok(isKind(error, 'denied'), String(error));
      }
    }
  }
});

test('parseChallenges() takes no longer for a long header', () => {
  const started = performance.now();
  for (const nasty of ['a='.repeat(100_000), `a="${'\\'.repeat(100_000)}`, ' ,'.repeat(100_000), 'a '.repeat(100_000)])
    parseChallenges(nasty);
  assert.ok(performance.now() - started < 1000);
});

test('tokenRequest() to plain http: only beside a registry on this machine, or by the user’s word on its own host', () => {
  const [challenge] = parseChallenges('Bearer realm="http://registry.example:5001/t"');
  const [local] = parseChallenges('Bearer realm="http://127.0.0.1:5001/t"');
  assert.ok(challenge !== undefined && local !== undefined);
  const wish = { scopes: [], credentials: undefined };
  const at = (what: typeof challenge, registry: string, insecure: boolean): string =>
    tokenRequest(what, new URL(registry), { ...wish, insecure }).url.host;
  assert.equal(at(challenge, 'http://registry.example', true), 'registry.example:5001');
  assert.equal(at(local, 'http://localhost:5000', false), '127.0.0.1:5001');
  for (const [what, registry, insecure] of [
    [challenge, 'http://registry.example', false],
    [challenge, 'https://registry.example', true],
    [challenge, 'http://other.example', true],
    [local, 'http://registry.example', true],
    [local, 'https://localhost:5000', false],
  ] as const)
    assert.throws(
      () => at(what, registry, insecure),
      (error) => isKind(error, 'denied'),
      registry,
    );
});

test('parseToken(): damaged anywhere it is a token or a TareError', () => {
  const answer = '{"token":"abc.def-ghi","access_token":"abc","expires_in":300,"issued_at":"2026-01-01T00:00:00Z"}';
  assert.deepEqual(parseToken(Buffer.from(answer), 1000), { value: 'abc.def-ghi', expiresAtMs: 291_000 });
  for (const damaged of mutations(answer, 2000)) {
    try {
      const { value, expiresAtMs } = parseToken(Buffer.from(damaged), 0);
      assert.match(value, /^[\x21-\x7e]+$/);
      assert.ok(expiresAtMs >= 50_000);
    } catch (error) {
      assert.ok(error instanceof TareError, String(error));
    }
  }
});
