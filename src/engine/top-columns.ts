import { TareError } from '../base/errors.ts';
import type { ProcessDetails } from '../runtime/process-details.ts';
import { allCapabilities, capabilityNames } from '../spec/capabilities.ts';

/** What the columns need to know besides the process. */
export interface TopView {
  /** Ids and names in the container, and on the host. */
  readonly user: (uid: number) => string;
  readonly group: (gid: number) => string;
  readonly hostUser: (uid: number) => string;
  readonly hostGroup: (gid: number) => string;
  /** How deep the container's pid namespace is: the index into `nsPids`. */
  readonly level: number;
  /** The number in the container's pid namespace, 0 for a process outside of it. */
  readonly pidOf: (hostPid: number) => number;
  readonly uptimeSeconds: number;
  /** Milliseconds since 1970 of boot. */
  readonly bootMs: number;
  readonly memoryKib: number;
}

/** A column of `top`: its heading, and its text for a process. */
export interface TopColumn {
  readonly heading: string;
  readonly text: (process: ProcessDetails, view: TopView) => string;
}

const elapsed = (process: ProcessDetails, view: TopView): number =>
  Math.max(0, view.uptimeSeconds - process.startSeconds);
const percent = (part: number, whole: number): string => (whole > 0 ? (part / whole) * 100 : 0).toFixed(3);
const caps = (set: keyof ProcessDetails['capabilities'], heading: string): TopColumn => ({
  heading,
  text: ({ capabilities }) => capabilityText(capabilities[set]),
});

/** Podman's descriptors, and a few of ps. */
export const topColumns: Readonly<Record<string, TopColumn>> = {
  args: { heading: 'COMMAND', text: ({ args, name }) => (args.length === 0 ? `[${name}]` : args.join(' ')) },
  capamb: caps('amb', 'AMBIENT CAPS'),
  capbnd: caps('bnd', 'BOUNDING CAPS'),
  capeff: caps('eff', 'EFFECTIVE CAPS'),
  capinh: caps('inh', 'INHERITED CAPS'),
  capprm: caps('prm', 'PERMITTED CAPS'),
  comm: { heading: 'COMMAND', text: ({ name }) => name },
  etime: { heading: 'ELAPSED', text: (process, view) => duration(elapsed(process, view)) },
  group: { heading: 'GROUP', text: ({ gids }, view) => view.group(gids.effective) },
  groups: { heading: 'GROUPS', text: ({ groups }, view) => groups.map(view.group).join(',') },
  hgroup: { heading: 'HGROUP', text: ({ gids }, view) => view.hostGroup(gids.effective) },
  hgroups: { heading: 'HGROUPS', text: ({ groups }, view) => groups.map(view.hostGroup).join(',') },
  hpid: { heading: 'HPID', text: ({ pid }) => String(pid) },
  huser: { heading: 'HUSER', text: ({ uids }, view) => view.hostUser(uids.effective) },
  label: { heading: 'LABEL', text: ({ label }) => label || '?' },
  nice: { heading: 'NI', text: ({ nice }) => String(nice) },
  pcpu: { heading: '%CPU', text: (process, view) => percent(process.cpuSeconds, elapsed(process, view)) },
  pgid: { heading: 'PGID', text: ({ nsPgids }, view) => String(nsPgids[view.level] ?? 0) },
  pid: { heading: 'PID', text: ({ nsPids }, view) => String(nsPids[view.level] ?? 0) },
  pmem: { heading: '%MEM', text: ({ rssKib }, view) => percent(rssKib, view.memoryKib) },
  ppid: { heading: 'PPID', text: ({ parentPid }, view) => String(view.pidOf(parentPid)) },
  rgroup: { heading: 'RGROUP', text: ({ gids }, view) => view.group(gids.real) },
  rss: { heading: 'RSS', text: ({ rssKib }) => String(rssKib) },
  ruser: { heading: 'RUSER', text: ({ uids }, view) => view.user(uids.real) },
  seccomp: { heading: 'SECCOMP', text: ({ seccomp }) => ['disabled', 'strict', 'filter'][seccomp] ?? '?' },
  state: { heading: 'STATE', text: ({ state }) => state },
  stime: {
    heading: 'STIME',
    text: ({ startSeconds }, { bootMs }) =>
      new Date(bootMs + startSeconds * 1000).toISOString().slice(0, 19).replace('T', ' '),
  },
  time: { heading: 'TIME', text: ({ cpuSeconds }) => duration(cpuSeconds) },
  tty: { heading: 'TTY', text: ({ ttyDevice }) => terminal(ttyDevice) },
  user: { heading: 'USER', text: ({ uids }, view) => view.user(uids.effective) },
  vsz: { heading: 'VSZ', text: ({ vszKib }) => String(vszKib) },
};

/** What podman shows when nothing is asked for. */
export const defaultTopColumns = ['user', 'pid', 'ppid', 'pcpu', 'etime', 'tty', 'time', 'args'] as const;

/** Other names: AIX codes, and what ps calls them. */
const aliases: Readonly<Record<string, string>> = {
  '%a': 'args',
  '%c': 'comm',
  '%C': 'pcpu',
  '%g': 'rgroup',
  '%G': 'group',
  '%n': 'nice',
  '%p': 'pid',
  '%P': 'ppid',
  '%r': 'pgid',
  '%t': 'etime',
  '%u': 'ruser',
  '%U': 'user',
  '%x': 'time',
  '%y': 'tty',
  '%z': 'vsz',
  cmd: 'args',
  command: 'args',
  ucmd: 'comm',
  '%cpu': 'pcpu',
  '%mem': 'pmem',
  euser: 'user',
  uname: 'user',
  egroup: 'group',
  ni: 'nice',
  s: 'state',
  stat: 'state',
  tt: 'tty',
  tname: 'tty',
  vsize: 'vsz',
  rssize: 'rss',
  start: 'stime',
  cputime: 'time',
};

const psSets: Readonly<Record<string, readonly string[]>> = {
  ef: ['user', 'pid', 'ppid', 'pcpu', 'stime', 'tty', 'time', 'args'],
  aux: ['user', 'pid', 'pcpu', 'pmem', 'vsz', 'rss', 'tty', 'state', 'stime', 'time', 'args'],
};

/**
 * The columns that words ask for: descriptors (`pid user args`, `pid,user`), or ps options (`aux`, `-ef`, `-eo pid,comm`). Errors: invalid, with what there is.
 */
export function chosenTopColumns(words: readonly string[]): readonly string[] {
  if (words.length === 0) return defaultTopColumns;
  const [first = '', ...rest] = words;
  const option = first.replace(/^-/, '');
  const set = Object.hasOwn(psSets, option) ? psSets[option] : undefined;
  if (set !== undefined && rest.length === 0) return set;
  const lists: string[] = [];
  for (let at = 0; at < words.length; at++) {
    const word = words[at] ?? '';
    const option = /^-[eA]*o(.*)$/.exec(word);
    if (option !== null) lists.push(option[1] || (words[++at] ?? ''));
    else if (!/^-[eA]+$/.test(word)) lists.push(word);
  }
  const names = lists.flatMap((list) => list.split(',')).filter((name) => name !== '');
  if (names.length === 0) return psSets['ef'] ?? [];
  return names.map(columnOf);
}

function columnOf(word: string): string {
  const name = Object.hasOwn(aliases, word) ? (aliases[word] ?? word) : word;
  if (Object.hasOwn(topColumns, name)) return name;
  throw new TareError(
    'invalid',
    `Cannot show ${word}: expected aux, -ef, -o LIST or descriptors: ${Object.keys(topColumns).join(', ')}`,
  );
}

/** As Go writes durations: "1h2m3s". */
function duration(seconds: number): string {
  const whole = Math.floor(seconds);
  const parts = [
    [Math.floor(whole / 3600), 'h'],
    [Math.floor(whole / 60) % 60, 'm'],
    [whole % 60, 's'],
  ] as const;
  const first = parts.findIndex(([count]) => count > 0);
  return first < 0
    ? '0s'
    : parts
        .slice(first)
        .map(([count, unit]) => `${count}${unit}`)
        .join('');
}

/** The kernel's old encoding of a device number. */
function terminal(device: number): string {
  const major = (device >> 8) & 0xfff;
  const minor = (device & 0xff) | ((device >> 12) & 0xfff00);
  if (major >= 136 && major <= 143) return `pts/${(major - 136) * 256 + minor}`;
  return major === 4 ? `tty${minor}` : major === 5 && minor === 1 ? 'console' : '?';
}

function capabilityText(mask: bigint): string {
  if (mask === 0n) return 'none';
  const names = capabilityNames(mask);
  return names.length === allCapabilities.length ? 'full' : names.map((name) => name.replace('CAP_', '')).join(',');
}
