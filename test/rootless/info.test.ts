/** `tare info` and completion of an unprivileged user: what is missing, and what to do. */
import assert from 'node:assert/strict';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import type { EngineInfo } from '../../src/engine/mod.ts';
import { canBeUser, UserLab } from './lab.ts';

const infoOf = async (lab: UserLab, ...globals: string[]): Promise<EngineInfo> =>
  JSON.parse(await lab.ok(...globals, 'info', '--format', 'json')) as EngineInfo;

test('info: subordinate ids that are missing, with the command that gives them', { skip: canBeUser }, async () => {
  await using lab = new UserLab({ subids: '' });
  const { host, missing } = await infoOf(lab);
  assert.deepEqual([host.security.rootless, host.userNamespaces.subUids, host.userNamespaces.subGids], [true, 0, 0]);
  for (const [file, flag] of [
    ['/etc/subuid', '--add-subuids'],
    ['/etc/subgid', '--add-subgids'],
  ] as const) {
    const lack = missing.find(({ what }) => what === `65536 ids for ${lab.name} in ${file}`);
    assert.equal(lack?.todo, `as root: usermod ${flag} 100000-165535 ${lab.name}; then: tare system migrate`);
  }
});

test(
  'info: a user with ids lacks none; containers that are not the user’s are not counted',
  { skip: canBeUser },
  async () => {
    await using lab = new UserLab();
    const { host, store, missing } = await infoOf(lab);
    assert.equal(host.userNamespaces.subUids, 65_536);
    assert.equal(store.root, lab.at('tare'));
    assert.deepEqual(
      missing.filter(({ what }) => what.includes('ids for')),
      [],
    );
    const foreign = join(lab.dir, 'foreign');
    mkdirSync(join(foreign, 'containers'), { recursive: true });
    mkdirSync(join(foreign, 'containers', 'closed'), { mode: 0o700 });
    const closed = join(foreign, 'containers', 'closed');
    mkdirSync(join(closed, 'containers'), { mode: 0o700 });
    const other = await infoOf(lab, '--root', closed);
    assert.deepEqual(other.missing[0], {
      what: `the right to read ${closed}`,
      effect: 'its containers are not counted',
      todo: 'run as its owner (sudo), or give another --root',
    });
  },
);

test(
  'completion: the script needs no namespace; the user’s own containers are offered',
  { skip: canBeUser },
  async () => {
    await using lab = new UserLab();
    assert.match(await lab.ok('completion', 'bash'), /complete -F _tare tare$/);
    assert.deepEqual(lab.holders(), []);
    await lab.ok('create', '--name', 'mine', lab.source, 'true');
    assert.match(await lab.ok('__complete', '--', 'start', ''), /^mine\t/);
  },
);
