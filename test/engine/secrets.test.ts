/** Secrets: kept whole or not at all, given to containers in memory, and seen nowhere else. */
import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  inspectContainer,
  listContainers,
  removeContainer,
  restartContainer,
  startContainer,
  stopContainer,
} from '../../src/engine/mod.ts';
import {
  createSecret,
  findSecret,
  listSecrets,
  MAX_SECRET_BYTES,
  readSecret,
  removeSecret,
} from '../../src/engine/secrets/store.ts';
import { canRun, Lab, outcome, read, until } from './lab.ts';

const skip = canRun;
const VALUE = 'a-value-that-nobody-else-has';
const bytes = (text: string): Buffer => Buffer.from(text);
const idle = ['sleep', '1000'];
const detached = { attach: false, stdin: false } as const;

test('secrets are created, found, replaced and removed', { skip }, async () => {
  await using lab = new Lab();
  const { engine } = lab;
  const id = await createSecret(engine, 'db', bytes('one'), { labels: { app: 'web' } });
  assert.match(id, /^[0-9a-f]{25}$/);
  assert.equal(findSecret(engine, id.slice(0, 8)).name, 'db');
  await assert.rejects(createSecret(engine, 'db', bytes('two')), { kind: 'already-exists' });
  assert.equal(await createSecret(engine, 'db', bytes('two'), { ignoreExisting: true }), id);
  assert.equal(Buffer.from(await readSecret(engine, 'db')).toString(), 'one');
  const { createdAt } = findSecret(engine, 'db');
  const next = await createSecret(engine, 'db', bytes('two'), { replace: true });
  assert.notEqual(next, id);
  assert.equal(Buffer.from(await readSecret(engine, 'db')).toString(), 'two');
  assert.equal(findSecret(engine, 'db').createdAt, createdAt);
  assert.deepEqual(
    listSecrets(engine).map(({ name, id: its, labels }) => ({ name, its, labels })),
    [{ name: 'db', its: next, labels: {} }],
  );
  assert.equal(await removeSecret(engine, next.slice(0, 10)), next);
  await assert.rejects(removeSecret(engine, 'db'), { kind: 'not-found' });
  for (const name of ['', '.hidden', '../x', 'a/b', 'a b', 'a=b', 'x'.repeat(254), 'new\n'])
    await assert.rejects(createSecret(engine, name, bytes('x')), { kind: 'invalid' }, JSON.stringify(name));
  await assert.rejects(createSecret(engine, 'empty', bytes('')), /it has 0 bytes/);
  await assert.rejects(createSecret(engine, 'large', Buffer.alloc(MAX_SECRET_BYTES + 1)), /512001 bytes/);
  await assert.rejects(createSecret(engine, 'odd', bytes('x'), { driverOptions: { path: '/' } }), /has no option path/);
  assert.deepEqual(await lab.leftovers(), []);
});

test('of many that create one secret at once, one does; replacements are never half seen', { skip }, async () => {
  await using lab = new Lab();
  const { engine } = lab;
  const all = await Promise.allSettled(
    Array.from({ length: 8 }, (_, n) => createSecret(lab.anotherEngine(), 'one', bytes(`value ${n}`))),
  );
  assert.equal(all.filter(({ status }) => status === 'fulfilled').length, 1);
  const values = ['a', 'b'].map((letter) => letter.repeat(100_000));
  const over = new AbortController();
  const writer = (async () => {
    for (let round = 0; round < 20; round++)
      await createSecret(engine, 'one', bytes(values[round % 2] ?? ''), { replace: true });
    over.abort();
  })();
  await until(() => findSecret(engine, 'one').id !== '', 5000, 'it is there');
  for (; !over.signal.aborted; await sleep(1)) {
    const seen = Buffer.from(await readSecret(lab.anotherEngine(), 'one')).toString();
    assert.ok(seen.startsWith('value ') || values.includes(seen), seen.slice(0, 20));
  }
  await writer;
  await removeSecret(engine, 'one');
  assert.deepEqual(await lab.leftovers(), []);
});

test('kill -9 while a secret is created or replaced: it is there whole, or as it was', { skip }, async () => {
  await using lab = new Lab();
  const file = join(lab.dir, 'value');
  writeFileSync(file, 'n'.repeat(MAX_SECRET_BYTES));
  const old = 'o'.repeat(MAX_SECRET_BYTES);
  await createSecret(lab.engine, 'kept', bytes(old));
  for (let round = 0; round < 12; round++) {
    const child = lab.startTare(['secret', 'create', '--replace', round % 2 === 0 ? 'kept' : `new-${round}`, file]);
    const ended = outcome(child);
    await sleep(40 + round * 5);
    child.kill('SIGKILL');
    await ended;
    for (const { name } of listSecrets(lab.engine)) {
      const value = Buffer.from(await readSecret(lab.engine, name)).toString();
      assert.ok(value === 'n'.repeat(MAX_SECRET_BYTES) || (name === 'kept' && value === old), name);
    }
  }
  for (const { id } of listSecrets(lab.engine)) await removeSecret(lab.engine, id);
  assert.deepEqual(await lab.leftovers(), []);
});

test('a secret as a file: in memory, read-only, with its owner and mode, and nowhere else', { skip }, async () => {
  await using lab = new Lab();
  await createSecret(lab.engine, 'db', bytes(VALUE));
  const { id } = await lab.detached(idle, {
    secrets: [{ source: 'db' }, { source: 'db', target: '/etc/app/key', uid: 5, gid: 6, mode: 0o400 }],
  });
  const inside = async (script: string): Promise<string> => (await lab.tare('exec', id, 'sh', '-c', script)).stdout;
  assert.equal(await inside('cat /run/secrets/db /etc/app/key'), VALUE + VALUE);
  assert.equal(
    await inside('stat -c "%u %g %a" /run/secrets/db /etc/app/key; stat -f -c %T /run/secrets/db'),
    '0 0 444\n5 6 400\ntmpfs\n',
  );
  assert.match(
    (await lab.tare('exec', id, 'sh', '-c', 'echo x >/run/secrets/db')).stderr,
    /Read-only file system|can't create/,
  );
  const { Config } = (await inspectContainer(lab.engine, id)) as { Config: Record<string, unknown> };
  assert.deepEqual(
    (Config['Secrets'] as object[]).map((secret) => ({ ...secret, ID: '' })),
    [
      { Name: 'db', ID: '', UID: 0, GID: 0, Mode: 0o444 },
      { Name: 'db', ID: '', UID: 5, GID: 6, Mode: 0o400 },
    ],
  );
  // Its own place apart, the value is in no file of ours, also not in memory, in no argument and no listing.
  assert.deepEqual(filesWith(VALUE, [lab.engine.root, lab.engine.runRoot, lab.engine.storageRoot, '/dev/shm']), [
    join(lab.engine.root, 'secrets/db/data'),
  ]);
  assert.ok(!JSON.stringify(await inspectContainer(lab.engine, id)).includes(VALUE));
  assert.ok(!read(`/proc/${lab.monitorOf(id)}/cmdline`).includes(VALUE));
  await removeContainer(lab.engine, id, { force: true });
  await removeSecret(lab.engine, 'db');
  assert.deepEqual(await lab.leftovers(), []);
});

test('a secret as a variable: for the program, its sessions and its health check alone', { skip }, async () => {
  await using lab = new Lab();
  await createSecret(lab.engine, 'token', bytes(VALUE));
  const { id } = await lab.detached(['sh', '-c', 'test "$TOKEN" = "$(cat /value)" && exec sleep 1000'], {
    secrets: [
      { source: 'token', type: 'env', target: 'TOKEN' },
      { source: 'token', target: '/value' },
    ],
    health: { test: ['CMD-SHELL', 'test "$TOKEN" = "$(cat /value)"'], intervalMs: 100 },
  });
  await until(() => listContainers(lab.engine)[0]?.health === 'healthy', 20_000, 'its check sees the variable');
  assert.equal((await lab.tare('exec', id, 'sh', '-c', 'echo $TOKEN')).stdout, `${VALUE}\n`);
  assert.ok(!JSON.stringify(await inspectContainer(lab.engine, id)).includes(VALUE));
  assert.deepEqual(filesWith(VALUE, [lab.engine.root, lab.engine.runRoot, '/dev/shm']), [
    join(lab.engine.root, 'secrets/token/data'),
  ]);
  assert.equal((await lab.tare('commit', id, 'localhost/committed')).code, 0);
  assert.deepEqual(filesWith(VALUE, [lab.engine.storageRoot]), []);
  await removeContainer(lab.engine, id, { force: true });
  await removeSecret(lab.engine, 'token');
  assert.equal((await lab.tare('rmi', 'localhost/committed')).code, 0);
  assert.deepEqual(await lab.leftovers(), []);
});

test(
  'a start reads the value anew; one that is gone is said, and a restart policy needs nobody',
  { skip },
  async () => {
    await using lab = new Lab();
    const { engine } = lab;
    await createSecret(engine, 'db', bytes('first'));
    const { id } = await lab.detached(['sh', '-c', 'cat /run/secrets/db; echo; exec sleep 1000'], {
      secrets: [{ source: 'db' }],
      restart: { policy: 'always' },
    });
    const log = async (): Promise<string> => (await lab.tare('logs', id)).stdout;
    await until(() => read(lab.at(id, 'ctr.log')).includes('first'), 10_000, 'it runs');
    await createSecret(engine, 'db', bytes('second'), { replace: true });
    // Its monitor has what the first start gave it.
    process.kill(listContainers(engine)[0]?.pid ?? 0, 'SIGKILL');
    await until(() => read(lab.at(id, 'ctr.log')).split('first').length === 3, 10_000, 'it started again');
    await restartContainer(engine, id, { timeoutSeconds: 0 });
    await until(() => read(lab.at(id, 'ctr.log')).includes('second'), 10_000, 'a start reads it');
    assert.equal(await log(), 'first\nfirst\nsecond\n');
    await stopContainer(engine, id, { timeoutSeconds: 0 });
    await removeSecret(engine, 'db');
    await assert.rejects(startContainer(engine, id, detached), /secret db is gone \(tare secret create db FILE\)/);
    assert.equal(listContainers(engine)[0]?.state, 'exited');
    await createSecret(engine, 'db', bytes('third'));
    await startContainer(engine, id, detached);
    await until(() => read(lab.at(id, 'ctr.log')).includes('third'), 10_000, 'it starts again');
    await removeContainer(engine, id, { force: true });
    await removeSecret(engine, 'db');
    assert.deepEqual(await lab.leftovers(), []);
  },
);

test('what cannot be is refused before there is a container', { skip }, async () => {
  await using lab = new Lab();
  await createSecret(lab.engine, 'db', bytes('x'));
  for (const [words, message] of [
    [['--secret', 'nobody'], 'Cannot use secret nobody: no such secret'],
    [['--secret', 'db', '--secret', 'db'], 'Cannot use secret db: /run/secrets/db is taken'],
    [['--secret', 'db,target=/proc'], 'Cannot use secret db: /proc is taken'],
    [['--secret', 'db,target=../etc/passwd'], 'Cannot use "../etc/passwd" for a secret: it is no path of a file'],
    [['--secret', 'db,type=env,target='], 'Cannot use "" for a secret: it is no name of a variable'],
  ] as const) {
    const { code, stderr } = await lab.tare('run', '--rm', ...words, lab.source, 'true');
    assert.deepEqual([code, stderr], [125, `Error: ${message}\n`]);
  }
  const large = join(lab.dir, 'large');
  writeFileSync(large, Buffer.alloc(MAX_SECRET_BYTES + 1));
  for (const [from, message] of [
    [lab.dir, 'read: EISDIR (is a directory)'],
    [large, `${large} is longer than ${MAX_SECRET_BYTES} bytes`],
  ] as const) {
    const { code, stderr } = await lab.tare('secret', 'create', 'x', from);
    assert.deepEqual([code, stderr], [125, `Error: Cannot create secret x: ${message}\n`]);
  }
  await removeSecret(lab.engine, 'db');
  assert.deepEqual(await lab.leftovers(), []);
});

test('ids of a user namespace of its own: the file belongs to them', { skip: skip || notRoot() }, async () => {
  await using lab = new Lab();
  await createSecret(lab.engine, 'db', bytes('x'));
  const shown = await lab.sh('stat -c "%u %g" /run/secrets/db', {
    uidMap: ['0:1000000:65536'],
    secrets: [{ source: 'db', uid: 7, gid: 8 }],
  });
  assert.equal(shown, '7 8');
  await removeSecret(lab.engine, 'db');
  assert.deepEqual(await lab.leftovers(), []);
});

test('driver pass: encrypted by gpg, gone with the secret', { skip: skip || noGpg() }, async () => {
  await using lab = new Lab();
  const [home, root] = [join(lab.dir, 'gpg'), join(lab.dir, 'store')];
  for (const dir of [home, root]) mkdirSync(dir, { mode: 0o700 });
  try {
    const quick = ['--homedir', home, '--batch', '--passphrase', '', '--quick-generate-key'];
    execFileSync('gpg', [...quick, 'tare-test', 'default', 'default', 'never'], { stdio: 'ignore' });
    const how = { driver: 'pass', driverOptions: { root, key: 'tare-test', gpghomedir: home } } as const;
    const id = await createSecret(lab.engine, 'db', bytes(VALUE), how);
    assert.equal(await lab.sh('cat /run/secrets/db', { secrets: [{ source: 'db' }] }), VALUE);
    assert.deepEqual(filesWith(VALUE, [lab.dir]), []);
    assert.deepEqual(readdirSync(root), [`${id}.gpg`]);
    await createSecret(lab.engine, 'db', bytes('two'), { ...how, replace: true });
    assert.equal(readdirSync(root).length, 1);
    rmSync(join(root, readdirSync(root)[0] ?? ''));
    await assert.rejects(readSecret(lab.engine, 'db'), /\.gpg is gone/);
    await removeSecret(lab.engine, 'db');
    const other = { ...how, driverOptions: { ...how.driverOptions, key: 'nobody' } };
    await assert.rejects(createSecret(lab.engine, 'db', bytes('x'), other), /gpg says: /);
    assert.deepEqual(readdirSync(root), []);
  } finally {
    spawnSync('gpgconf', ['--homedir', home, '--kill', 'all']);
  }
  assert.deepEqual(await lab.leftovers(), []);
});

/** Regular files below `dirs` that have `text` in them. */
function filesWith(text: string, dirs: readonly string[]): string[] {
  return dirs.filter(existsSync).flatMap((dir) =>
    readdirSync(dir, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map((entry) => join(entry.parentPath, entry.name))
      .filter((path) => readable(path).includes(text)),
  );
}

function readable(path: string): string {
  try {
    return readFileSync(path, 'latin1');
  } catch {
    return '';
  }
}

function notRoot(): string | false {
  return process.getuid?.() === 0 ? false : 'for root: these ids are the machine’s';
}

function noGpg(): string | false {
  return spawnSync('gpg', ['--version']).status === 0 ? false : 'needs gpg (Debian: apt-get install gnupg)';
}
