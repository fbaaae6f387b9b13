import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { isKind } from '../../base/errors.ts';
import type { LinuxResources } from '../../spec/runtime-types.ts';
import { v1Systemd, v2Systemd } from './_host-texts.ts';
import { detectCgroups, locateCgroup, updateCgroup, type CgroupHost } from './mod.ts';

/** A host whose cgroup files are ordinary ones: what is written can be read. */
class Files implements Disposable {
  readonly host: CgroupHost;
  readonly #root = mkdtempSync(join(tmpdir(), 'tare-cgroup-'));

  constructor(texts: Parameters<typeof detectCgroups>[0], files: Readonly<Record<string, string>>) {
    this.host = { ...detectCgroups(texts), root: this.#root };
    const { controllers, procs } = locateCgroup(this.host, '/tare/x');
    this.#write(procs, '1\n');
    for (const [name, text] of Object.entries(files)) {
      const [controller = '', file = ''] = name.split('/');
      this.#write(`${controllers[controller] ?? assert.fail(controller)}/${file}`, text);
    }
  }

  #write(path: string, text: string): void {
    mkdirSync(dirname(join(this.#root, path)), { recursive: true });
    writeFileSync(join(this.#root, path), text);
  }

  read(name: string): string {
    const [controller = '', file = ''] = name.split('/');
    const dir = locateCgroup(this.host, '/tare/x').controllers[controller] ?? '';
    // Ordinary files keep what a longer text left.
    return readFileSync(join(this.#root, dir, file), 'utf8').trim();
  }

  update(before: LinuxResources, after: LinuxResources): readonly string[] {
    return updateCgroup(this.host, '/tare/x', before, after);
  }

  [Symbol.dispose](): void {
    rmSync(this.#root, { recursive: true });
  }
}

const none = ' '.repeat(20);

test('updateCgroup: cgroup v2 gets its own files and units, and what is no longer limited is unlimited', () => {
  using files = new Files(v2Systemd, {
    'memory/memory.max': none,
    'memory/memory.swap.max': none,
    'memory/memory.low': none,
    'cpu/cpu.max': none,
    'cpu/cpu.weight': none,
    'cpuset/cpuset.cpus': none,
    'pids/pids.max': none,
    'io/io.weight': none,
  });
  const limited: LinuxResources = {
    memory: { limit: 1 << 30, swap: 3 << 29, reservation: 1 << 20 },
    cpu: { quota: 150_000, period: 100_000, shares: 2, cpus: '0-1' },
    pids: { limit: 9 },
    blockIO: { weight: 10 },
  };
  assert.deepEqual(files.update({}, limited), []);
  assert.equal(files.read('memory/memory.max'), '1073741824');
  assert.equal(files.read('memory/memory.swap.max'), '536870912');
  assert.equal(files.read('memory/memory.low'), '1048576');
  assert.equal(files.read('cpu/cpu.max'), '150000 100000');
  assert.equal(files.read('cpu/cpu.weight'), '1');
  assert.equal(files.read('cpuset/cpuset.cpus'), '0-1');
  assert.equal(files.read('pids/pids.max'), '9');
  assert.equal(files.read('io/io.weight'), 'default 1');
});

test('updateCgroup: without a limit it is max again; what is equal is not written', () => {
  using files = new Files(v2Systemd, {
    'memory/memory.max': 'xxx',
    'memory/memory.swap.max': 'xxx',
    'pids/pids.max': 'old',
    'cpu/cpu.max': 'old       ',
  });
  files.update(
    { memory: { limit: 1 << 30, swap: 1 << 30 }, pids: { limit: 7 }, cpu: { quota: 1000 } },
    { memory: { limit: -1, swap: -1 }, pids: { limit: 7 }, cpu: { quota: -1 } },
  );
  assert.equal(files.read('memory/memory.max'), 'max');
  assert.equal(files.read('memory/memory.swap.max'), 'max');
  assert.equal(files.read('pids/pids.max'), 'old');
  assert.equal(files.read('cpu/cpu.max'), 'max 100000');
});

test('updateCgroup: what cannot be set undoes what was set before it', () => {
  using files = new Files(v2Systemd, { 'memory/memory.max': 'max       ' });
  assert.throws(
    () => files.update({}, { memory: { limit: 1 << 30 }, pids: { limit: 7 } }),
    (error: unknown) => isKind(error, 'unsupported') && /limit of processes.*nothing was changed/.test(String(error)),
  );
  assert.equal(files.read('memory/memory.max').slice(0, 3), 'max');
  assert.throws(
    () => files.update({}, { memory: { limit: 5 } }),
    (error) => isKind(error, 'invalid'),
  );
});

test('updateCgroup: cgroup v1 never has memory above memory plus swap on the way', () => {
  const memory = { 'memory/memory.limit_in_bytes': none, 'memory/memory.memsw.limit_in_bytes': none };
  using up = new Files(v1Systemd, memory);
  up.update({ memory: { limit: 1 << 20, swap: 2 << 20 } }, { memory: { limit: 4 << 20, swap: 8 << 20 } });
  assert.equal(up.read('memory/memory.limit_in_bytes'), '4194304');
  assert.equal(up.read('memory/memory.memsw.limit_in_bytes'), '8388608');
  // The kernel's own word on the order is in test/engine/update.test.ts.
});

test('updateCgroup: a cgroup that is gone is not-found', () => {
  using files = new Files(v2Systemd, {});
  const host = { ...files.host, root: '/nowhere' };
  assert.throws(
    () => updateCgroup(host, '/tare/x', {}, { pids: { limit: 5 } }),
    (error) => isKind(error, 'not-found'),
  );
});
