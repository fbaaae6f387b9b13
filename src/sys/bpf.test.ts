import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, rmdirSync } from 'node:fs';
import { test } from 'node:test';
import {
  attachDeviceProgram,
  attachedDevicePrograms,
  detachDeviceProgram,
  loadDeviceProgram,
  programById,
} from './bpf.ts';
import { openDirectory } from './open.ts';

const unified = ['/sys/fs/cgroup/unified', '/sys/fs/cgroup'].find(
  (path) => existsSync(`${path}/cgroup.procs`) && existsSync(`${path}/cgroup.controllers`),
);
const needs =
  process.geteuid?.() !== 0
    ? { skip: 'needs root' }
    : unified === undefined
      ? { skip: 'needs a cgroup v2 hierarchy' }
      : {};

/** r0 = verdict; exit. One struct bpf_insn is 8 bytes: opcode, registers, offset, immediate. */
const verdict = (allow: 0 | 1): Uint8Array => Uint8Array.of(0xb7, 0, 0, 0, allow, 0, 0, 0, 0x95, 0, 0, 0, 0, 0, 0, 0);

test('loadDeviceProgram refuses what the verifier refuses, in its words', needs, () => {
  assert.throws(
    () => loadDeviceProgram(Uint8Array.of(0x95, 0, 0, 0, 0, 0, 0, 0)),
    /bpf\(BPF_PROG_LOAD\): EACCES.*R0 !read_ok/,
  );
  assert.throws(() => loadDeviceProgram(Uint8Array.of(1, 2, 3)), { kind: 'invalid' });
});

test('a device program attached to a cgroup decides about devices there, until it is detached', needs, () => {
  const path = `${unified}/tare-bpf-test-${process.pid}`;
  mkdirSync(path);
  try {
    using cgroup = openDirectory(path);
    using deny = loadDeviceProgram(verdict(0));
    using allow = loadDeviceProgram(verdict(1));
    const opens = (): boolean => {
      try {
        execFileSync('/bin/sh', ['-c', `echo $$ > ${path}/cgroup.procs && exec 3</dev/zero`], {
          stdio: ['ignore', 'ignore', 'ignore'],
        });
        return true;
      } catch {
        return false;
      }
    };
    attachDeviceProgram(cgroup, deny);
    assert.equal(opens(), false);
    attachDeviceProgram(cgroup, allow, { replace: deny });
    assert.equal(opens(), true);
    const ids = attachedDevicePrograms(cgroup);
    assert.equal(ids.length, 1);
    using found = programById(ids[0] ?? 0);
    detachDeviceProgram(cgroup, found);
    assert.deepEqual(attachedDevicePrograms(cgroup), []);
    assert.throws(() => detachDeviceProgram(cgroup, found), { kind: 'not-found' });
  } finally {
    rmdirSync(path);
  }
});
