import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { syscallArch } from '../../src/runtime/seccomp/arch.ts';
import { needs } from '../support/needs.ts';
import { root } from './lab.ts';

const sys = join(root, 'src/sys');
const includes = `#define _GNU_SOURCE
#include <stddef.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <asm/termbits.h>
#include <asm/ioctls.h>
#include <asm/unistd.h>
#include <linux/audit.h>
#include <linux/bpf.h>
#include <linux/landlock.h>
#include <linux/magic.h>
#include <linux/mount.h>
#include <linux/openat2.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <linux/stat.h>
#include <linux/xattr.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/vfs.h>
#define SAME(name, value) _Static_assert((unsigned long long)(name) == (unsigned long long)(value), #name " is not " #value)
`;

/** Offsets that src/sys and the addon write and read by number: what is right on x64, where all of it is tested, has to be right elsewhere. */
const layouts: Readonly<Record<string, Readonly<Record<string, number>>>> = {
  'struct statx': {
    stx_mask: 0,
    stx_nlink: 16,
    stx_uid: 20,
    stx_mode: 28,
    stx_ino: 32,
    stx_size: 40,
    stx_blocks: 48,
    stx_atime: 64,
    stx_ctime: 96,
    stx_mtime: 112,
    stx_rdev_major: 128,
    stx_dev_major: 136,
    stx_mnt_id: 144,
  },
  'struct statfs': {
    f_type: 0,
    f_bsize: 8,
    f_blocks: 16,
    f_bfree: 24,
    f_bavail: 32,
    f_files: 40,
    f_ffree: 48,
    f_flags: 80,
  },
  'struct flock': { l_type: 0, l_whence: 2, l_start: 8, l_len: 16, l_pid: 24 },
  'struct open_how': { flags: 0, mode: 8, resolve: 16 },
  'struct mount_attr': { attr_set: 0, attr_clr: 8, propagation: 16, userns_fd: 24 },
  'struct termios': { c_iflag: 0, c_oflag: 4, c_cflag: 8, c_lflag: 12, c_line: 16, c_cc: 17 },
  'struct clone_args': { flags: 0, pidfd: 8, exit_signal: 32, cgroup: 80 },
  'struct sockaddr_un': { sun_family: 0, sun_path: 2 },
  'struct ucred': { pid: 0, uid: 4, gid: 8 },
  'struct timespec': { tv_sec: 0, tv_nsec: 8 },
};

/** Constants of the kernel's that src/sys writes down: name and value. */
function constants(): [name: string, value: string][] {
  return readdirSync(sys, { recursive: true, encoding: 'utf8' })
    .filter((path) => path.endsWith('.ts') && !path.endsWith('.test.ts'))
    .flatMap((path) => [
      ...readFileSync(join(sys, path), 'utf8').matchAll(
        /^(?:export )?const ([A-Z][A-Z0-9]*_[A-Z0-9_]+) = (0x[\da-f]+|0o\d+|\d+)n?;$/gm,
      ),
    ])
    .map(([, name = '', value = '']) => [name, String(Number(value))]);
}

for (const [compiler, arch, audit] of [
  ['cc', 'SCMP_ARCH_X86_64', 'AUDIT_ARCH_X86_64'],
  ['aarch64-linux-gnu-gcc', 'SCMP_ARCH_AARCH64', 'AUDIT_ARCH_AARCH64'],
] as const) {
  const foreign = compiler === 'cc' && process.arch !== 'x64' ? 'cannot here: this machine is no x64' : false;

  describe(
    `numbers of ${arch}, against the headers of ${compiler}`,
    { skip: foreign || needs.program(compiler) },
    () => {
      const compile = (text: string, ...flags: string[]): string => {
        const { stdout, stderr, status } = spawnSync(compiler, [...flags, '-xc', '-'], {
          input: includes + text,
          encoding: 'utf8',
          maxBuffer: 16 << 20,
        });
        assert.equal(status, 0, stderr);
        return stdout;
      };
      const guarded = (name: string, value: string | number): string =>
        `#ifdef ${name}\nSAME(${name}, ${value});\n#endif`;

      it('the seccomp table has each system call of the headers, by its number', () => {
        const table = syscallArch(arch);
        assert.ok(table !== undefined);
        compile(
          [...table.numbers].map(([name, number]) => guarded(`__NR_${name}`, number)).join('\n'),
          '-fsyntax-only',
        );
        compile(`SAME(${audit}, ${table.audit}u);`, '-fsyntax-only');
        const theirs = [...compile('', '-dM', '-E').matchAll(/^#define __NR_(\w+) /gm)].map(([, name = '']) => name);
        assert.ok(theirs.length > 290);
        // asm-generic has the number of the first call that an architecture may add, and names of the 32-bit kernels' calls.
        const missing = theirs.filter(
          (name) => !table.numbers.has(name) && !/^(arch_specific_syscall|syscalls)$|^3264_/.test(name),
        );
        assert.deepEqual(missing, []);
      });

      it('the constants in src/sys have their values', () => {
        const all = constants();
        const macros = compile('', '-dM', '-E');
        const known = all.filter(([name]) => macros.includes(`#define ${name} `));
        assert.ok(known.length > 40, `only ${known.length} of ${all.length} are in the headers`);
        compile(all.map(([name, value]) => guarded(name, `${value}ull`)).join('\n'), '-fsyntax-only');
        assert.throws(() => compile(guarded('AT_EMPTY_PATH', 1), '-fsyntax-only'), /AT_EMPTY_PATH is not 1/);
      });

      it('structures have the layout that src/sys writes', () => {
        const asserts = Object.entries(layouts).flatMap(([type, fields]) =>
          Object.entries(fields).map(([field, offset]) => `SAME(offsetof(${type}, ${field}), ${offset});`),
        );
        compile(asserts.join('\n'), '-fsyntax-only');
      });
    },
  );
}
