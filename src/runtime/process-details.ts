import { closeSync, openSync, readFileSync, readSync } from 'node:fs';
import { parseProcessStat } from '../sys/process.ts';

/** What /proc tells of one process, as we see it: ids of our namespaces. */
export interface ProcessDetails {
  readonly pid: number;
  /** Our number of it and its number in each pid namespace below, outermost first. */
  readonly nsPids: readonly number[];
  readonly nsPgids: readonly number[];
  readonly parentPid: number;
  /** At most 15 bytes. */
  readonly name: string;
  /** The command line, at most 16 KiB of it; empty for a kernel thread or a zombie. */
  readonly args: readonly string[];
  readonly state: string;
  readonly uids: Ids;
  readonly gids: Ids;
  readonly groups: readonly number[];
  /** Since boot. */
  readonly startSeconds: number;
  readonly cpuSeconds: number;
  readonly nice: number;
  /** Device number of its terminal, 0 for none. */
  readonly ttyDevice: number;
  readonly vszKib: number;
  readonly rssKib: number;
  readonly capabilities: Readonly<Record<'inh' | 'prm' | 'eff' | 'bnd' | 'amb', bigint>>;
  /** 0 none, 1 strict, 2 filter. */
  readonly seccomp: number;
  /** Of the security module, "" where there is none. */
  readonly label: string;
}

interface Ids {
  readonly real: number;
  readonly effective: number;
}

/** USER_HZ is 100 on every architecture we run on. */
const TICKS_PER_SECOND = 100;
const MAX_ARGS_BYTES = 16 * 1024;

/**
 * Reads a process that is in the cgroup `cgroupPath`, or below it. Undefined when it is gone, also when its number is another process's by now.
 */
export function processDetails(pid: number, cgroupPath: string): ProcessDetails | undefined {
  try {
    const read = (name: string): string => readFileSync(`/proc/${pid}/${name}`, 'latin1');
    const stat = read('stat');
    const status = read('status');
    const args = readArgs(pid);
    const label = readLabel(pid);
    const basic = parseProcessStat(stat);
    const isOurs = read('cgroup')
      .split('\n')
      .some((line) => `${line}/`.includes(`${cgroupPath}/`));
    if (basic === undefined || !isOurs) return undefined;
    const fields = stat.slice(stat.lastIndexOf(') ') + 2).split(' ');
    const field = (index: number): number => Number(fields[index - 3]);
    const words = (key: string): string[] =>
      new RegExp(`^${key}:[\\t ]*(.*)$`, 'm').exec(status)?.[1]?.split(/\s+/).filter(Boolean) ?? [];
    const numbers = (key: string): number[] => words(key).map(Number);
    const ids = (key: string): Ids => {
      const [real = 0, effective = 0] = numbers(key);
      return { real, effective };
    };
    const mask = (key: string): bigint => BigInt(`0x${words(key)[0] ?? '0'}`);
    return {
      pid,
      nsPids: numbers('NSpid'),
      nsPgids: numbers('NSpgid'),
      parentPid: basic.parentPid,
      name: Buffer.from(basic.name, 'latin1').toString(),
      args,
      state: basic.state,
      uids: ids('Uid'),
      gids: ids('Gid'),
      groups: numbers('Groups'),
      startSeconds: basic.startTime / TICKS_PER_SECOND,
      cpuSeconds: (field(14) + field(15)) / TICKS_PER_SECOND,
      nice: field(19),
      ttyDevice: field(7),
      vszKib: numbers('VmSize')[0] ?? 0,
      rssKib: numbers('VmRSS')[0] ?? 0,
      capabilities: {
        inh: mask('CapInh'),
        prm: mask('CapPrm'),
        eff: mask('CapEff'),
        bnd: mask('CapBnd'),
        amb: mask('CapAmb'),
      },
      seccomp: numbers('Seccomp')[0] ?? 0,
      label,
    };
  } catch (error) {
    if (['ENOENT', 'ESRCH'].includes((error as NodeJS.ErrnoException).code ?? '')) return undefined;
    throw error;
  }
}

/** The process says what is there: it may be anything, and as large as its stack. */
function readArgs(pid: number): string[] {
  const fd = openSync(`/proc/${pid}/cmdline`, 'r');
  try {
    const buffer = Buffer.alloc(MAX_ARGS_BYTES);
    const length = readSync(fd, buffer, 0, buffer.length, 0);
    return buffer
      .toString('utf8', 0, length)
      .replace(/\0$/, '')
      .split('\0')
      .filter((_, index, all) => all.length > 1 || all[index] !== '');
  } finally {
    closeSync(fd);
  }
}

function readLabel(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/attr/current`, 'latin1').replace(/[\0\n]+$/, '');
  } catch {
    // EINVAL without a security module.
    return '';
  }
}
