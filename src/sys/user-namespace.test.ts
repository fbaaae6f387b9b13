import assert from 'node:assert/strict';
import { chownSync, lstatSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { mountDetached, type OverlayWay } from './mount-detached.ts';
import { processStat } from './process.ts';
import { userNamespaceFd } from './user-namespace.ts';

const asRoot = process.geteuid?.() === 0 ? {} : { skip: 'needs root' };

const uidMappings = [{ containerID: 0, hostID: 200_000, size: 1000 }];
const gidMappings = [
  { containerID: 0, hostID: 300_000, size: 10 },
  { containerID: 10, hostID: 400_000, size: 10 },
];
const ids = { uidMappings, gidMappings };

function labOf(t: TestContext): string {
  const dir = mkdtempSync(join(tmpdir(), 'tare-ids-'));
  t.after(() => rmSync(dir, { recursive: true, force: true }));
  for (const name of ['base', 'base/low', 'base/up', 'base/work']) mkdirSync(join(dir, name));
  writeFileSync(join(dir, 'base/low/file'), 'x');
  chownSync(join(dir, 'base/low/file'), 7, 12);
  return join(dir, 'base');
}

const ownerOf = (path: string): string => `${lstatSync(path).uid}:${lstatSync(path).gid}`;

test('userNamespaceFd: a namespace without a process; what the kernel refuses says so', asRoot, () => {
  using fd = userNamespaceFd(ids);
  assert.match(readFileSync('/proc/self/status', 'latin1'), /^Threads:/m);
  const { dev, ino } = statSync(`/proc/self/fd/${fd.number}`);
  const own = statSync('/proc/self/ns/user');
  assert.equal(dev, own.dev);
  assert.notEqual(ino, own.ino);
  assert.notEqual(processStat(process.pid), undefined);
  assert.throws(() => userNamespaceFd({ uidMappings: [], gidMappings }), { syscall: 'userns', code: 'EINVAL' });
  const overlapping = [...uidMappings, { containerID: 5, hostID: 1, size: 1 }];
  assert.throws(() => userNamespaceFd({ uidMappings: overlapping, gidMappings }), { code: 'EINVAL' });
  const long = Array.from({ length: 2000 }, (_, i) => ({ containerID: i, hostID: i, size: 1 }));
  assert.throws(() => userNamespaceFd({ uidMappings: long, gidMappings }), { syscall: 'userns' });
});

test('mountDetached: a bind mount shows other owners, the disk does not', asRoot, (t) => {
  const base = labOf(t);
  using mount = mountDetached({ kind: 'bind', source: base, readOnly: false, recursive: false, ids });
  const through = `/proc/self/fd/${mount.number}`;
  assert.equal(ownerOf(join(through, 'low/file')), '200007:400002');
  assert.equal(ownerOf(join(base, 'low/file')), '7:12');
});

for (const way of [undefined, 'string'] as const)
  for (const withBase of [true, false])
    test(
      `mountDetached: an overlay of id-mapped lowers, ${way ?? 'as the kernel likes it'}, ${withBase ? 'one mount for all' : 'one for each'}`,
      asRoot,
      (t) => {
        const base = labOf(t);
        const mounts = readFileSync('/proc/self/mountinfo', 'utf8');
        const options: { way?: OverlayWay } = way === undefined ? {} : { way };
        using mount = mountDetached(
          {
            kind: 'overlay',
            lowers: [join(base, 'low')],
            upper: join(base, 'up'),
            work: join(base, 'work'),
            options: [],
            ids: { ...ids, ...(withBase ? { base } : {}) },
          },
          options,
        );
        const through = `/proc/self/fd/${mount.number}`;
        assert.equal(ownerOf(join(through, 'file')), '200007:400002');
        writeFileSync(join(through, 'file'), 'y');
        assert.equal(ownerOf(join(base, 'up/file')), '200007:400002');
        assert.equal(readFileSync(join(base, 'low/file'), 'utf8'), 'x');
        assert.equal(ownerOf(join(base, 'low/file')), '7:12');
        assert.equal(readFileSync('/proc/self/mountinfo', 'utf8'), mounts);
      },
    );
