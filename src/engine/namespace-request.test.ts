import assert from 'node:assert/strict';
import { test } from 'node:test';
import { namespaceRequest } from './namespace-request.ts';
import { rangesOf } from './sub-ids.ts';

const user = { uid: 1000, gid: 1000, uids: 65_537, gids: 65_537 };

test('namespaceRequest: auto with and without what it may say', () => {
  assert.deepEqual(namespaceRequest({ userns: 'auto' }, undefined), {
    mode: 'auto',
    auto: { uidMappings: [], gidMappings: [] },
  });
  const text = 'auto:size=5000,uidmapping=0:1000:1,gidmapping=1:2:3,gidmapping=9:9';
  assert.deepEqual(namespaceRequest({ userns: text }, user), {
    mode: text,
    auto: {
      size: 5000,
      uidMappings: [{ containerID: 0, hostID: 1000, size: 1 }],
      gidMappings: [
        { containerID: 1, hostID: 2, size: 3 },
        { containerID: 9, hostID: 9, size: 1 },
      ],
    },
  });
  for (const options of ['', 'size=0', 'size=-1', 'size=4294967296', 'size', 'nonsense=1', 'uidmapping=1:2:3:4'])
    assert.throws(() => namespaceRequest({ userns: `auto:${options}` }, undefined), { kind: 'invalid' }, options);
});

test('namespaceRequest: maps by hand; what is said of one kind holds for the other', () => {
  const uids = [{ containerID: 0, hostID: 100_000, size: 1000 }];
  const gids = [{ containerID: 0, hostID: 5, size: 2 }];
  assert.deepEqual(namespaceRequest({ uidMap: ['0:100000:1000'] }, undefined), {
    mode: 'private',
    namespace: { uidMappings: uids, gidMappings: uids },
  });
  assert.deepEqual(namespaceRequest({ gidMap: ['0:5:2'] }, undefined)?.namespace?.uidMappings, gids);
  assert.deepEqual(namespaceRequest({ uidMap: ['0:100000:1000'], gidMap: ['0:5:2'] }, undefined)?.namespace, {
    uidMappings: uids,
    gidMappings: gids,
  });
  assert.deepEqual(namespaceRequest({ uidMap: ['0:1:65536'] }, user)?.namespace?.gidMappings, [
    { containerID: 0, hostID: 1, size: 65_536 },
  ]);
});

test('namespaceRequest: maps that nobody can use are refused with a reason', () => {
  const refused = (uidMap: string[], message: RegExp, who?: typeof user): void =>
    assert.throws(() => namespaceRequest({ uidMap }, who), { kind: 'invalid', message });
  refused(['1:5:2'], /container id 0 must be somebody/);
  refused(['0:5:2', '1:9:1'], /container id 1 is in two of them/);
  refused(['0:5:2', '7:6:1'], /host id 6 is in two of them/);
  refused(['0:1:0'], /ids go from 0/);
  refused(['0:4294967294:2'], /ids go from 0/);
  refused(['0:1:1:1'], /expected CONTAINER:HOST:LENGTH/);
  refused(['a:1:1'], /expected CONTAINER:HOST:LENGTH/);
  refused(
    Array.from({ length: 400 }, (_, i) => `${i}:${1000 + i}:1`),
    /too many/,
  );
  refused(['0:60000:10000'], /host id 65537 is not yours; you have 0 \(yourself\) to 65536/, user);
  assert.throws(() => namespaceRequest({ uidMap: ['0:5:2'], userns: 'auto' }, undefined), {
    kind: 'invalid',
    message: 'Cannot use --uidmap with --userns auto: each says which ids there are',
  });
  assert.throws(() => namespaceRequest({ subuidName: 'no-such-name' }, undefined), {
    kind: 'not-found',
    message: 'Cannot use --subuidname no-such-name: /etc/subuid has no ids for no-such-name',
  });
  assert.throws(() => namespaceRequest({ subuidName: 'x' }, user), { kind: 'unsupported' });
});

test('rangesOf: the lines of a name, without damaged ones', () => {
  const text = 'a:1:2\nb:5:6\n#a:7:8\na:10:0\na:x:2\na:1:2:3\na:4294967290:10\n a:100000:65536 \n';
  assert.deepEqual(rangesOf(text, 'a'), [
    { first: 1, count: 2 },
    { first: 100_000, count: 65_536 },
  ]);
  assert.deepEqual(rangesOf(text, 'c'), []);
});
