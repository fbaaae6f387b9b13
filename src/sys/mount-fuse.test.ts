import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import {
  chmodSync,
  mkdirSync,
  mkdtempDisposableSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { isKind } from '../base/errors.ts';
import { needs } from '../../test/support/needs.ts';
import { addon } from './addon.ts';
import type { Fd } from './fd.ts';
import { mountFuseOverlay, type ServedMount } from './mount-fuse.ts';
import { readMountinfo } from './mountinfo.ts';
import { openTree } from './mount.ts';
import { statfs } from './stat.ts';

const skip = needs.root() || needs.program('fuse-overlayfs');
const PROGRAM = '/usr/bin/fuse-overlayfs';
const FUSE_SUPER_MAGIC = 0x65735546;

interface Made {
  readonly path: string;
  readonly upper: string;
  mount(options?: readonly string[], program?: string): Promise<ServedMount>;
}

/** Two lower directories and a writable layer below `path`. */
function overlayIn(path: string): Made {
  const [near = '', far = '', upper = '', work = ''] = ['near', 'far', 'upper', 'work'].map(
    (name) => `${path}/${name}`,
  );
  for (const dir of [near, far, upper, work]) mkdirSync(dir, { recursive: true });
  writeFileSync(`${near}/both`, 'near');
  writeFileSync(`${far}/both`, 'far');
  writeFileSync(`${far}/gone`, 'x');
  return {
    path,
    upper,
    mount: (options = [], program = PROGRAM) =>
      mountFuseOverlay({ kind: 'overlay', lowers: [near, far], upper, work, options }, program),
  };
}

const at = (mount: Fd, name = ''): string => `/proc/self/fd/${mount.number}/${name}`;

/** The daemon has ended. */
async function ended(pid: number): Promise<boolean> {
  for (let tries = 0; tries < 500; tries++) {
    const stat = readState(pid);
    if (stat === undefined || stat === 'Z') return true;
    await sleep(10);
  }
  return false;
}

function readState(pid: number): string | undefined {
  try {
    return /\) (\S)/.exec(readFileSync(`/proc/${pid}/stat`, 'latin1'))?.[1];
  } catch {
    return undefined;
  }
}

test(
  'mountFuseOverlay unites layers, writes to the upper, is in no mount table, and ends with its last reference',
  { skip },
  async () => {
    using temp = mkdtempDisposableSync('/tmp/tare-fuse-');
    const before = readMountinfo().length;
    const { upper, mount } = overlayIn(temp.path);
    const served = await mount();
    const pid = served.daemon?.pid ?? assert.fail();
    assert.equal(statfs(served).type, FUSE_SUPER_MAGIC);
    assert.deepEqual(readdirSync(at(served)).sort(), ['both', 'gone']);
    assert.equal(readFileSync(at(served, 'both'), 'utf8'), 'near');
    unlinkSync(at(served, 'gone'));
    writeFileSync(at(served, 'new'), 'new');
    assert.equal(readFileSync(`${upper}/new`, 'utf8'), 'new');
    assert.equal(readMountinfo().length, before);
    {
      using second = openTree('', { dir: served, clone: true });
      served.close();
      await sleep(50);
      assert.deepEqual(readdirSync(at(second)).sort(), ['both', 'new']);
      assert.match(readState(pid) ?? 'none', /[SR]/);
    }
    assert.ok(await ended(pid));
  },
);

test('mountFuseOverlay: the daemon has a session of its own and no descriptor of ours', { skip }, async () => {
  using temp = mkdtempDisposableSync('/tmp/tare-fuse-');
  const passedOn = openSync(`${temp.path}/lock`, 'w');
  addon().fcntl(passedOn, 2, 0);
  using served = await overlayIn(temp.path).mount();
  const pid = served.daemon?.pid ?? assert.fail();
  const fds = readdirSync(`/proc/${pid}/fd`).map((fd) => readlinkSync(`/proc/${pid}/fd/${fd}`));
  const foreign = fds.filter((file) => !/^(\/dev\/(null|fuse)|\/memfd:fuse-overlayfs-stderr|pipe:)/.test(file));
  assert.deepEqual(
    foreign.filter((file) => !/\/(near|far|upper|work\/work)$/.test(file)),
    [],
  );
  assert.equal(addon().fcntl(passedOn, 1, 0), 0, 'it is passed on to others as before');
  const stat = readFileSync(`/proc/${pid}/stat`, 'latin1').split(') ')[1]?.split(' ') ?? [];
  assert.equal(Number(stat[3]), pid);
  assert.equal(readFileSync(`/proc/${pid}/environ`, 'utf8'), '');
});

test('mountFuseOverlay takes paths with colons, commas and backslashes', { skip }, async () => {
  using temp = mkdtempDisposableSync('/tmp/tare-fuse-');
  const odd = `${temp.path}/b,c\\d "e"`;
  const { upper, mount } = overlayIn(odd);
  {
    using served = await mount(['volatile']);
    assert.equal(readFileSync(at(served, 'both'), 'utf8'), 'near');
    writeFileSync(at(served, 'new'), 'new');
  }
  assert.equal(readFileSync(`${upper}/new`, 'utf8'), 'new');
  await assert.rejects(overlayIn(`${temp.path}/a:b`).mount(), { kind: 'unsupported' });
  const [first, second] = [`${temp.path}/x:1`, `${temp.path}/y,2`];
  for (const dir of [first, second]) mkdirSync(dir);
  writeFileSync(`${second}/f`, 'f');
  using served = await mountFuseOverlay({ kind: 'overlay', lowers: [first, second], options: [] }, PROGRAM);
  assert.deepEqual(readdirSync(at(served)), ['f']);
});

test('mountFuseOverlay: a killed daemon makes calls fail, and nothing waits', { skip }, async () => {
  using temp = mkdtempDisposableSync('/tmp/tare-fuse-');
  using served = await overlayIn(temp.path).mount();
  const pid = served.daemon?.pid ?? assert.fail();
  process.kill(pid, 'SIGKILL');
  assert.ok(await ended(pid));
  assert.throws(() => readdirSync(at(served)), { code: 'ENOTCONN' });
  for (let tries = 0; served.daemon?.pid !== undefined && tries < 100; tries++) await sleep(10);
  assert.equal(served.daemon?.pid, undefined);
});

test(
  'mountFuseOverlay: who makes the mount is killed at any moment, and the daemon goes',
  { skip, timeout: 60_000 },
  async () => {
    using temp = mkdtempDisposableSync('/tmp/tare-fuse-');
    overlayIn(temp.path);
    const script = `
    import { mountFuseOverlay } from '${import.meta.dirname}/mount-fuse.ts';
    const dir = ${JSON.stringify(temp.path)};
    process.stdout.write('go');
    for (;;) {
      using m = await mountFuseOverlay({ kind: 'overlay', lowers: [dir + '/near'], upper: dir + '/upper', work: dir + '/work', options: [] }, '${PROGRAM}');
    }`;
    const daemons = (): string[] =>
      spawnSync('pgrep', ['-f', `fuse-overlayfs -f .*${temp.path}/`], { encoding: 'utf8' })
        .stdout.split('\n')
        .filter((pid) => pid !== '' && readState(Number(pid)) !== 'Z' && readState(Number(pid)) !== undefined);
    for (let round = 0; round < 8; round++) {
      const flags = ['--disable-warning=ExperimentalWarning', '--input-type=module-typescript', '-e', script];
      const child = spawn(process.execPath, flags, { stdio: ['ignore', 'pipe', 'inherit'] });
      await once(child.stdout, 'data');
      await sleep(round * 7);
      child.kill('SIGKILL');
      await once(child, 'exit');
      for (let tries = 0; daemons().length > 0 && tries < 300; tries++) await sleep(10);
      assert.deepEqual(daemons(), [], `round ${round}`);
    }
  },
);

test('mountFuseOverlay fails with what the program says, and leaves nothing', { skip }, async () => {
  using temp = mkdtempDisposableSync('/tmp/tare-fuse-');
  const { mount } = overlayIn(temp.path);
  const openFds = (): number => readdirSync('/proc/self/fd').length;
  const before = openFds();
  const missing = mountFuseOverlay(
    {
      kind: 'overlay',
      lowers: [`${temp.path}/none`],
      upper: `${temp.path}/upper`,
      work: `${temp.path}/work`,
      options: [],
    },
    PROGRAM,
  );
  await assert.rejects(missing, (error) => isKind(error, 'unavailable') && /none.*No such file/s.test(error.message));
  await assert.rejects(mount([], `${temp.path}/no-program`), /Cannot mount overlay with .*no-program: .*ENOENT/);
  writeFileSync(
    `${temp.path}/false`,
    '#!/bin/sh\necho "I am no file system" >&2\nhead -c 1000000 /dev/zero >&2\nexit 3\n',
  );
  chmodSync(`${temp.path}/false`, 0o755);
  await assert.rejects(mount([], `${temp.path}/false`), /false: I am no file system/);
  await assert.rejects(mountFuseOverlay({ kind: 'overlay', lowers: [], options: [] }, PROGRAM), { kind: 'invalid' });
  for (let tries = 0; openFds() > before && tries < 100; tries++) await sleep(10);
  assert.equal(openFds(), before);
});
