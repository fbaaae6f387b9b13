import { readdirSync, readFileSync } from 'node:fs';
import { basename } from 'node:path';

/** A process of the bench's own pid namespace, and so one that the bench started. */
export interface Process {
  readonly pid: number;
  /** The last part of its argv[0]; '' for kernel threads and zombies. */
  readonly program: string;
}

/** All processes that /proc shows. */
export function processes(): Process[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .flatMap((name) => {
      try {
        const [program = ''] = readFileSync(`/proc/${name}/cmdline`, 'utf8').split('\0');
        // A monitor's title says whose it is: "tare: monitor NAME".
        return [
          { pid: Number(name), program: program.startsWith('tare: monitor ') ? 'tare-monitor' : basename(program) },
        ];
      } catch {
        return []; // It ended meanwhile.
      }
    });
}

/** Proportional set size in kB (1024 bytes): private memory plus a fair share of what is shared. */
export function pssKb(pid: number): number {
  const match = /^Pss:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8'));
  if (match === null) throw new Error(`Cannot read the memory of process ${pid}: no Pss`);
  return Number(match[1]);
}
