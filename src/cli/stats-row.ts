import type { StatsSample } from '../engine/stats.ts';
import { binarySize, humanSize } from './human.ts';

/** The columns of `stats`. */
export const statsColumns = ['ID', 'Name', 'CPUPerc', 'MemUsage', 'MemPerc', 'NetIO', 'BlockIO', 'PIDs'] as const;
/** Headings of `stats` where they differ from the field's name. */
export const statsHeadings = {
  ID: 'CONTAINER ID',
  CPUPerc: 'CPU %',
  MemUsage: 'MEM USAGE / LIMIT',
  MemPerc: 'MEM %',
  NetIO: 'NET I/O',
  BlockIO: 'BLOCK I/O',
} as const;

/** What a container used, as `stats` shows it. */
export function statsRow(sample: StatsSample, full: boolean): Readonly<Record<string, string>> {
  const id = full ? sample.id : sample.id.slice(0, 12);
  const shown = (text: string): string => (sample.up ? text : '--');
  const share = sample.memoryLimitBytes > 0 ? (sample.memoryBytes / sample.memoryLimitBytes) * 100 : 0;
  const pids = shown(String(sample.pids));
  return {
    ID: id,
    Container: id,
    Name: sample.name,
    CPUPerc: shown(`${sample.cpuPercent.toFixed(2)}%`),
    MemUsage: sample.up ? `${binarySize(sample.memoryBytes)} / ${binarySize(sample.memoryLimitBytes)}` : '-- / --',
    MemPerc: shown(`${share.toFixed(2)}%`),
    NetIO: sample.up ? `${humanSize(sample.netReceivedBytes)} / ${humanSize(sample.netSentBytes)}` : '-- / --',
    BlockIO: sample.up ? `${humanSize(sample.blockReadBytes)} / ${humanSize(sample.blockWrittenBytes)}` : '-- / --',
    PIDs: pids,
    UpSince: sample.startedAt ?? '',
  };
}
