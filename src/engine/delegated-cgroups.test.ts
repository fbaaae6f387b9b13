import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { CgroupHost, Hierarchy } from '../runtime/cgroup/host.ts';
import { type CgroupFiles, delegatedHost, delegatedParent, scopeHost } from './delegated-cgroups.ts';

const user = '/user.slice/user-1000.slice/user@1000.service';
const v2 = (own: string): Hierarchy => ({
  version: 2,
  dir: '',
  controllers: ['cpu', 'io', 'memory', 'pids'],
  readOnly: false,
  own,
});
const v1: Hierarchy = { version: 1, dir: 'memory', controllers: ['memory'], readOnly: false, own: '/' };
const host = (...hierarchies: Hierarchy[]): CgroupHost => ({
  mode: 'v2',
  root: '/sys/fs/cgroup',
  hierarchies,
  warnings: ['x'],
});

/** A file system in which the user owns `owned` and all that is there below it. */
const filesOf = (owned: string, controllers = 'memory pids\n', there: readonly string[] = []): CgroupFiles => ({
  isWritable(path) {
    if (path === owned || path.startsWith(`${owned}/`))
      return there.includes(path) || path === owned || path.endsWith('/cgroup.procs') ? true : undefined;
    return path.includes('/tare') ? undefined : false;
  },
  read: (path) => (path.endsWith('/cgroup.controllers') ? controllers : ''),
});

test('delegatedParent: below the highest cgroup that systemd gave to the user, from a scope in it', () => {
  const own = `${user}/app.slice/run-1.scope`;
  const root = '/sys/fs/cgroup';
  const files = filesOf(`${root}${user}`, '', [`${root}${user}/app.slice`, `${root}${own}`]);
  assert.equal(delegatedParent(host(v2(own)), files), `${user}/tare`);
});

test('delegatedParent: from a login session, which is root’s, and without cgroup v2, the usual one', () => {
  const files = filesOf(`/sys/fs/cgroup${user}`);
  assert.equal(delegatedParent(host(v2('/user.slice/user-1000.slice/session-3.scope')), files), '/tare');
  assert.equal(delegatedParent(host(v1), files), '/tare');
  assert.equal(delegatedParent(host({ ...v2(user), readOnly: true }), files), '/tare');
  assert.equal(delegatedParent(host(), files), '/tare');
});

test('delegatedHost: keeps the hierarchies the user may write, with the controllers that reach there, and says nothing of the others', () => {
  const files = filesOf(`/sys/fs/cgroup${user}`);
  const usable = delegatedHost(host(v2(user), v1), `${user}/tare/0123`, files);
  assert.deepEqual(usable.hierarchies, [{ ...v2(user), controllers: ['memory', 'pids'] }]);
  assert.deepEqual(usable.warnings, []);
  assert.deepEqual(delegatedHost(host(v2(user), v1), '/tare/0123', files).hierarchies, []);
  // A directory that was given to the user is of no use to a process that may not be moved there.
  const elsewhere = v2('/user.slice/user-1000.slice/session-3.scope');
  assert.deepEqual(delegatedHost(host(elsewhere), `${user}/tare/0123`, files).hierarchies, []);
});

test('delegatedHost: a v1 hierarchy with a directory of the user’s counts', () => {
  const files: CgroupFiles = {
    isWritable: (path) => (path === '/sys/fs/cgroup/memory/mine' ? true : path.includes('mine') ? undefined : false),
    read: () => '',
  };
  assert.deepEqual(delegatedHost(host(v1), '/mine/0123', files).hierarchies, [v1]);
});

test('scopeHost: what systemd passes on, of a scope that is not there yet what is there above it', () => {
  const texts: Readonly<Record<string, string>> = {
    '/sys/fs/cgroup/cgroup.controllers': 'cpuset cpu io memory hugetlb pids rdma misc\n',
    '/sys/fs/cgroup/m.slice/tare-1.scope/cgroup.controllers': 'memory pids\n',
  };
  const files: CgroupFiles = { isWritable: () => assert.fail('not asked'), read: (path) => texts[path] ?? '' };
  const of = (path: string): unknown => scopeHost(host(v2('/'), v1), path, files).hierarchies;
  assert.deepEqual(of('/m.slice/tare-1.scope'), [{ ...v2('/'), controllers: ['memory', 'pids'] }]);
  const all = { ...v2('/'), controllers: ['cpuset', 'cpu', 'io', 'memory', 'pids'] };
  assert.deepEqual(of('/m.slice/tare-2.scope'), [all]);
  assert.deepEqual(of(''), [all]);
  assert.deepEqual(scopeHost(host(v1), '/m.slice', files).hierarchies, []);
});
