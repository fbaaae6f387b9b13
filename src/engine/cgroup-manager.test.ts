import assert from 'node:assert/strict';
import { linkSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { isKind } from '../base/errors.ts';
import type { CgroupHost } from '../runtime/cgroup/host.ts';
import { listenAt } from '../sys/dbus/peer.suite.ts';
import { chooseCgroups, findSystemd } from './cgroup-manager.ts';
import type { CgroupFiles } from './delegated-cgroups.ts';
import type { RootlessUser } from './rootless.ts';

const session = '/user.slice/user-987654.slice/session-3.scope';
const hostOf = (own: string, mode: CgroupHost['mode'] = 'v2'): CgroupHost => ({
  mode,
  root: '/sys/fs/cgroup',
  hierarchies: [{ version: 2, dir: '', controllers: ['cpu', 'memory', 'pids'], readOnly: false, own }],
  warnings: [],
});
const files = (mine = ''): CgroupFiles => ({
  isWritable: (path) => mine !== '' && path.startsWith(`/sys/fs/cgroup${mine}`),
  read: () => '',
});
const never = (): CgroupHost => assert.fail('nothing has to be looked at');

/** A user with a run directory of the test's, who is not logged in elsewhere. */
function user(): Disposable & { readonly rootless: RootlessUser; readonly socket: string } {
  const dir = mkdtempSync(join(tmpdir(), 'tare-user-'));
  mkdirSync(join(dir, 'systemd'));
  return {
    rootless: { uid: 987_654, gid: 1, holder: 0, dataHome: '/d', configHome: '/c', runtimeDir: dir },
    socket: join(dir, 'systemd/private'),
    [Symbol.dispose]: () => rmSync(dir, { recursive: true }),
  };
}

test('chooseCgroups: root gets cgroupfs, without a look at the machine', () => {
  const choice = chooseCgroups({}, never, files());
  assert.deepEqual(choice, { manager: 'cgroupfs', reason: "root's default", parent: '/tare' });
  assert.equal(chooseCgroups({ cgroupParent: '/other' }, never, files()).parent, '/other');
  assert.equal(chooseCgroups({ cgroupManager: 'cgroupfs' }, never, files()).reason, 'it was asked for');
});

test('chooseCgroups: a user whose cgroup was delegated, or who says where, gets cgroupfs', () => {
  using alice = user();
  const { rootless } = alice;
  const mine = '/user.slice/user-987654.slice/user@987654.service';
  const delegated = chooseCgroups({ rootless }, () => hostOf(`${mine}/app.slice/run-1.scope`), files(mine));
  assert.deepEqual([delegated.manager, delegated.parent], ['cgroupfs', `${mine}/tare`]);
  const given = chooseCgroups({ rootless, cgroupParent: '/mine' }, never, files());
  assert.deepEqual([given.manager, given.parent], ['cgroupfs', '/mine']);
});

test('chooseCgroups: a user in a login session whose systemd does not run has cgroupfs, and the reason', () => {
  using alice = user();
  const choice = chooseCgroups({ rootless: alice.rootless }, () => hostOf(session), files());
  assert.deepEqual([choice.manager, choice.parent, choice.problem], ['cgroupfs', '/tare', undefined]);
  assert.match(choice.reason, /^neither is this session's cgroup the user's own, nor .*does not run \(there is no /);
});

test('chooseCgroups: systemd that was asked for and is not there is a problem, told in full', () => {
  using alice = user();
  const choice = chooseCgroups({ rootless: alice.rootless, cgroupManager: 'systemd' }, () => hostOf(session), files());
  assert.equal(choice.manager, 'systemd');
  assert.equal(
    choice.problem,
    `Cannot use systemd for cgroups: this user's systemd does not run (there is no ${alice.socket}); log in anew, or have root run loginctl enable-linger, or leave it to cgroupfs (--cgroup-manager cgroupfs)`,
  );
  const slice = chooseCgroups({ rootless: alice.rootless, cgroupParent: 'ci.slice' }, () => hostOf(session), files());
  assert.match(slice.problem ?? '', /does not run/);
});

test('chooseCgroups: with systemd, containers are in a slice below the manager', async () => {
  using alice = user();
  await using _systemd = await listenAt(alice.socket, () => undefined);
  // Who listens is this process.
  const manager = (/^0::(.*)$/m.exec(readFileSync('/proc/self/cgroup', 'utf8'))?.[1] ?? '').replace(/^\/$/, '');
  const { rootless } = alice;
  assert.deepEqual(findSystemd(rootless, hostOf(session)), { socket: alice.socket, cgroup: manager });
  const asked = (cgroupParent?: string): unknown => {
    const wishes = {
      rootless,
      cgroupManager: 'systemd',
      ...(cgroupParent === undefined ? {} : { cgroupParent }),
    } as const;
    const { parent, managerCgroup, problem } = chooseCgroups(wishes, () => hostOf(session), files());
    return { parent, managerCgroup, problem };
  };
  assert.deepEqual(asked(), { parent: `${manager}/user.slice`, managerCgroup: manager, problem: undefined });
  assert.deepEqual(asked('a-b.slice'), {
    parent: `${manager}/a.slice/a-b.slice`,
    managerCgroup: manager,
    problem: undefined,
  });
  assert.match((asked('/tare') as { problem: string }).problem, /Cannot use cgroup parent \/tare with systemd/);
});

test('findSystemd: says what stands in the way, and what to do', async () => {
  using alice = user();
  const refused = (mode: CgroupHost['mode'], words: RegExp): void =>
    assert.throws(
      () => findSystemd(alice.rootless, hostOf(session, mode)),
      (error) => isKind(error, 'unsupported') && words.test(error.message) && error.message.includes('cgroupfs'),
    );
  refused('v2', /there is no .*private/);
  {
    await using _systemd = await listenAt(alice.socket, () => undefined);
    refused('hybrid', /cgroups are hybrid here.*unified_cgroup_hierarchy=1/);
  }
  {
    // It was killed: its socket is still there.
    await using _systemd = await listenAt(`${alice.socket}-2`, () => undefined);
    linkSync(`${alice.socket}-2`, alice.socket);
  }
  refused('v2', /this user's systemd does not run \(nobody listens at /);
  rmSync(alice.socket);
  symlinkSync('private', alice.socket);
  refused('v2', /there is no .*private/);
});
