/** For tests: libseccomp itself as the reference compiler. */
import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { LinuxSeccomp } from '../../spec/runtime-types.ts';
import { syscallArch } from './arch.ts';
import { actionValue } from './rules.ts';

const operators = [
  '',
  'SCMP_CMP_NE',
  'SCMP_CMP_LT',
  'SCMP_CMP_LE',
  'SCMP_CMP_EQ',
  'SCMP_CMP_GE',
  'SCMP_CMP_GT',
  'SCMP_CMP_MASKED_EQ',
];
/** libseccomp's own token for x32; the others are the audit values. */
const X32_TOKEN = 0x4000003e;
const KILL_THREAD = 0;

/** libseccomp, ready to compile profiles; disposing removes the program. */
export interface Libseccomp extends Disposable {
  compile(profile: LinuxSeccomp): Uint8Array;
}

/** Builds the exporter against libseccomp-dev: the installed one, or the Debian package unpacked in a temporary directory. A string: why that is not possible. */
export function buildLibseccomp(): Libseccomp | string {
  const dir = mkdtempSync(join(tmpdir(), 'tare-libseccomp-'));
  const fail = (why: string): string => {
    rmSync(dir, { recursive: true, force: true });
    return why;
  };
  const program = join(dir, 'export');
  const source = join(import.meta.dirname, '_libseccomp-export.c');
  const cc = (...flags: string[]): boolean =>
    spawnSync('cc', ['-O1', '-o', program, source, ...flags], { encoding: 'utf8' }).status === 0;
  if (spawnSync('cc', ['--version']).status !== 0) return fail('there is no C compiler');
  if (!cc('-lseccomp')) {
    const got = spawnSync('apt-get', ['-o', 'APT::Sandbox::User=root', 'download', 'libseccomp-dev'], {
      cwd: dir,
      encoding: 'utf8',
    });
    const deb = readdirSync(dir).find((name) => name.endsWith('.deb'));
    if (got.status !== 0 || deb === undefined) return fail('libseccomp-dev is not installed and cannot be downloaded');
    execFileSync('dpkg', ['-x', join(dir, deb), join(dir, 'dev')]);
    const lib = readdirSync(join(dir, 'dev/usr/lib'))
      .map((triplet) => join(dir, 'dev/usr/lib', triplet, 'libseccomp.a'))
      .find((path) => existsSync(path));
    if (lib === undefined || !cc(`-I${join(dir, 'dev/usr/include')}`, lib))
      return fail('the exporter does not build against libseccomp-dev');
  }
  return {
    compile: (profile) => execFileSync(program, { input: toText(profile), maxBuffer: 1024 * 1024 }),
    [Symbol.dispose]: () => rmSync(dir, { recursive: true, force: true }),
  };
}

function toText(profile: LinuxSeccomp): string {
  const lines = [`default ${value(profile.defaultAction, profile.defaultErrnoRet)}`];
  for (const name of profile.architectures ?? []) {
    const arch = syscallArch(name);
    if (arch !== undefined) lines.push(`arch ${name === 'SCMP_ARCH_X32' ? X32_TOKEN : arch.audit}`);
  }
  for (const rule of profile.syscalls ?? []) {
    const args = rule.args ?? [];
    // As runc and crun do: several conditions on one argument become rules of their own.
    const distinct = new Set(args.map(({ index }) => index)).size === args.length;
    for (const group of distinct ? [args] : args.map((arg) => [arg])) {
      const words = group.map((arg) => `${arg.index} ${operators.indexOf(arg.op)} ${arg.value} ${arg.valueTwo ?? 0}`);
      for (const name of rule.names)
        lines.push(`rule ${value(rule.action, rule.errnoRet)} ${name} ${group.length} ${words.join(' ')}`);
    }
  }
  return `${lines.join('\n')}\n`;
}

/** SCMP_ACT_* are the kernel's SECCOMP_RET_* but for the old KILL. */
function value(action: LinuxSeccomp['defaultAction'], errnoRet: number | undefined): number {
  return action === 'SCMP_ACT_KILL' ? KILL_THREAD : actionValue(action, errnoRet);
}

/** Debian's containers-common profile as JSON; undefined when it is not there. */
export function debianProfile(): unknown {
  const path = '/usr/share/containers/seccomp.json';
  return existsSync(path) ? (JSON.parse(readFileSync(path, 'utf8')) as unknown) : undefined;
}
