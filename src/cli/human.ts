/** A span of time as docker words it: "3 minutes", "About an hour". */
export function humanDuration(ms: number): string {
  const seconds = Math.floor(ms / 1000);
  if (seconds < 1) return 'Less than a second';
  if (seconds === 1) return '1 second';
  if (seconds < 60) return `${seconds} seconds`;
  const minutes = Math.floor(seconds / 60);
  if (minutes === 1) return 'About a minute';
  if (minutes < 60) return `${minutes} minutes`;
  const hours = Math.round(seconds / 3600);
  if (hours === 1) return 'About an hour';
  if (hours < 48) return `${hours} hours`;
  if (hours < 24 * 7 * 2) return `${Math.floor(hours / 24)} days`;
  if (hours < 24 * 30 * 2) return `${Math.floor(hours / 24 / 7)} weeks`;
  if (hours < 24 * 365 * 2) return `${Math.floor(hours / 24 / 30)} months`;
  return `${Math.floor(hours / 24 / 365)} years`;
}

/** "3 minutes ago"; empty for no time. */
export function ago(time: string | undefined, nowMs: number): string {
  const ms = time === undefined ? Number.NaN : Date.parse(time);
  return Number.isNaN(ms) ? '' : `${humanDuration(Math.max(0, nowMs - ms))} ago`;
}

/** A size in powers of 1000 with three significant digits, as docker's image list: "7.8MB". */
export function humanSize(bytes: number): string {
  // 999.5 would be shown as 1000.
  return scaled(bytes, { units: ['B', 'kB', 'MB', 'GB', 'TB', 'PB'], base: 1000, from: 999.5, digits: 3 });
}

/** A size in powers of 1024 with four significant digits, as docker shows memory: "1.504MiB". */
export function binarySize(bytes: number): string {
  return scaled(bytes, { units: ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB'], base: 1024, from: 1024, digits: 4 });
}

interface Scale {
  readonly units: readonly string[];
  readonly base: number;
  /** From here on the next unit is taken. */
  readonly from: number;
  readonly digits: number;
}

function scaled(bytes: number, { units, base, from, digits }: Scale): string {
  let value = bytes;
  let unit = 0;
  while (value >= from && unit < units.length - 1) {
    value /= base;
    unit++;
  }
  return `${Number(value.toPrecision(digits))}${units[unit] ?? ''}`;
}
