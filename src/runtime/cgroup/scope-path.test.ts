import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isKind } from '../../base/errors.ts';
import { podSliceCgroup, podSliceOf, scopeCgroupPath, scopeOf, sliceCgroup } from './scope-path.ts';

const user = '/user.slice/user-1000.slice/user@1000.service';

test('sliceCgroup: a dash is a level, as systemd.slice(5) says', () => {
  assert.equal(sliceCgroup('', 'machine.slice'), '/machine.slice');
  assert.equal(sliceCgroup('', 'a-b-c.slice'), '/a.slice/a-b.slice/a-b-c.slice');
  assert.equal(sliceCgroup(user, 'user.slice'), `${user}/user.slice`);
  assert.equal(sliceCgroup(user, '-.slice'), user);
  assert.equal(sliceCgroup('', '-.slice'), '');
});

test('sliceCgroup: refuses what is no slice', () => {
  const long = `${'a'.repeat(250)}.slice`;
  for (const wrong of [
    '/tare',
    'machine',
    '.slice',
    'a--b.slice',
    '-a.slice',
    'a-.slice',
    'a/b.slice',
    '..slice/',
    long,
  ])
    assert.throws(
      () => sliceCgroup('', wrong),
      (error) => isKind(error, 'invalid') && error.message.includes('not the name of a slice'),
      wrong,
    );
});

test('podSliceCgroup: a slice below the one of containers, whose name says so; scopes find it', () => {
  for (const [slice, unit] of [
    [sliceCgroup('', 'ci-build.slice'), 'ci-build-tare_pod_0a1b.slice'],
    [sliceCgroup('', '-.slice'), 'tare_pod_0a1b.slice'],
    [user, 'tare_pod_0a1b.slice'],
  ] as const) {
    const path = podSliceCgroup(slice, '0a1b');
    assert.equal(path, `${slice}/${unit}`);
    assert.equal(podSliceOf(path), unit);
    assert.equal(path, sliceCgroup(slice === user ? user : '', unit));
    assert.equal(scopeOf(scopeCgroupPath(path, 'ff'))?.slice, unit);
  }
  for (const other of ['/tare/0a1b', '/machine.slice', '/machine.slice/tare-0a1b.scope/container'])
    assert.equal(podSliceOf(other), undefined, other);
});

test('scopeOf: what scopeCgroupPath made, with its slice; nothing else', () => {
  assert.deepEqual(scopeOf(scopeCgroupPath(sliceCgroup('', 'ci-build.slice'), '0a1b')), {
    unit: 'tare-0a1b.scope',
    slice: 'ci-build.slice',
    path: '/ci.slice/ci-build.slice/tare-0a1b.scope',
  });
  assert.deepEqual(scopeOf(scopeCgroupPath(user, '0a1b')), {
    unit: 'tare-0a1b.scope',
    slice: '-.slice',
    path: `${user}/tare-0a1b.scope`,
  });
  assert.deepEqual(scopeOf(scopeCgroupPath('', '0a')), {
    unit: 'tare-0a.scope',
    slice: '-.slice',
    path: '/tare-0a.scope',
  });
  for (const other of [
    '/tare/0a1b',
    '/machine.slice/libpod-0a.scope/container',
    '/tare-0a.scope',
    '/tare-xy.scope/container',
  ])
    assert.equal(scopeOf(other), undefined, other);
});
