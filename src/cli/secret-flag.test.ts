import assert from 'node:assert/strict';
import test from 'node:test';
import { parseSecretFlag } from './secret-flag.ts';

test('parseSecretFlag: as podman and docker write it', () => {
  assert.deepEqual(parseSecretFlag('db'), { source: 'db' });
  assert.deepEqual(parseSecretFlag('db,type=env,target=PASSWORD'), { source: 'db', type: 'env', target: 'PASSWORD' });
  assert.deepEqual(parseSecretFlag('source=db,target=/etc/key,uid=5,gid=6,mode=0400'), {
    source: 'db',
    target: '/etc/key',
    uid: 5,
    gid: 6,
    mode: 0o400,
  });
});

test('parseSecretFlag: says what is wrong', () => {
  for (const [text, why] of [
    ['', 'it names no secret'],
    ['type=env', 'it names no secret'],
    ['db,type=file', 'type must be mount or env'],
    ['db,mode=9', 'mode must be octal, like 0400'],
    ['db,uid=root', 'uid must be a number'],
    ['db,colour=red', 'unknown option colour'],
    ['db,type=env,mode=0400', 'a variable has no owner and no mode'],
  ] as const)
    assert.throws(() => parseSecretFlag(text), { message: `Cannot use --secret ${text}: ${why}` });
});
