import assert from 'node:assert/strict';
import { test } from 'node:test';
import { TareError, type ErrorKind } from '../base/errors.ts';
import { insideId, outsideId, userNamespace } from './user-namespace.ts';

const user = { uid: 1000, gid: 100, uids: 65_537, gids: 65_537 };
const refused = (text: string, kind: ErrorKind, who: typeof user | undefined): void =>
  assert.throws(
    () => userNamespace(text, who),
    (error: unknown) =>
      error instanceof TareError && error.kind === kind && error.message.startsWith(`Cannot use --userns ${text}: `),
    text,
  );

test('userNamespace: host is none of its own', () => {
  assert.equal(userNamespace('host', user), undefined);
  assert.equal(userNamespace('', undefined), undefined);
});

test('userNamespace: keep-id maps the user to the same number, and everybody else as podman does', () => {
  assert.deepEqual(userNamespace('keep-id', user), {
    uidMappings: [
      { containerID: 0, hostID: 1, size: 1000 },
      { containerID: 1000, hostID: 0, size: 1 },
      { containerID: 1001, hostID: 1001, size: 64_536 },
    ],
    gidMappings: [
      { containerID: 0, hostID: 1, size: 100 },
      { containerID: 100, hostID: 0, size: 1 },
      { containerID: 101, hostID: 101, size: 65_436 },
    ],
    user: '1000:100',
  });
  assert.equal(userNamespace('keep-id:uid=5,gid=6', user)?.user, '5:6');
  assert.deepEqual(userNamespace('keep-id:uid=0,gid=0', user)?.uidMappings[0], { containerID: 0, hostID: 0, size: 1 });
});

test('userNamespace: keep-id of an id beyond the others, and with no others', () => {
  assert.deepEqual(userNamespace('keep-id', { ...user, uid: 200_000 })?.uidMappings, [
    { containerID: 0, hostID: 1, size: 65_536 },
    { containerID: 200_000, hostID: 0, size: 1 },
  ]);
  assert.deepEqual(userNamespace('keep-id', { ...user, uids: 1 })?.uidMappings, [
    { containerID: 1000, hostID: 0, size: 1 },
  ]);
});

test('userNamespace: every mapping covers each outside id once at the most', () => {
  for (const text of [
    'keep-id',
    'keep-id:uid=0',
    'keep-id:uid=65535',
    'keep-id:uid=65536',
    'keep-id:uid=2147483647',
    'nomap',
  ]) {
    const mappings = userNamespace(text, user)?.uidMappings ?? [];
    const ids = mappings.flatMap(({ hostID, size }) => Array.from({ length: size }, (_, index) => hostID + index));
    assert.equal(new Set(ids).size, ids.length, text);
    assert.ok(
      ids.every((id) => id >= 0 && id < user.uids),
      text,
    );
    assert.equal(ids.includes(0), text !== 'nomap', text);
  }
});

test('outsideId: follows the mappings', () => {
  const mappings = userNamespace('keep-id', user)?.uidMappings ?? [];
  assert.deepEqual(
    [0, 999, 1000, 1001, 65_536, 65_537].map((id) => outsideId(mappings, id)),
    [1, 1000, 0, 1001, 65_536, undefined],
  );
});

test('userNamespace: what is not understood or not possible is refused', () => {
  for (const text of [
    'keep-id:uid',
    'keep-id:uid=-1',
    'keep-id:uid=4294967295',
    'keep-id:size=3',
    'nomap:x',
    'host:x',
    'keep',
    'ns2',
  ])
    refused(text, 'invalid', user);
  for (const text of ['ns:/proc/1/ns/user', 'container:x']) refused(text, 'unsupported', user);
  refused('keep-id', 'unsupported', undefined);
  refused('nomap', 'unsupported', { ...user, uids: 1 });
});

test('insideId: the way back; who has no id inside is nobody', () => {
  const mappings = [
    { containerID: 0, hostID: 1000, size: 10 },
    { containerID: 10, hostID: 5, size: 1 },
  ];
  assert.deepEqual(
    [1000, 1009, 1010, 5, 0].map((id) => insideId(mappings, id)),
    [0, 9, 65_534, 10, 65_534],
  );
});
