import { readFileSync } from 'node:fs';

/** One line of /proc/PID/mountinfo, proc(5). */
export interface MountEntry {
  readonly id: number;
  readonly parentId: number;
  readonly major: number;
  readonly minor: number;
  /** The directory of the file system that is mounted. */
  readonly root: string;
  /** Where, as seen from the process's root. */
  readonly mountPoint: string;
  readonly options: readonly string[];
  /** Peer group, when shared. */
  readonly shared?: number;
  /** Peer group it receives from, when a slave. */
  readonly master?: number;
  readonly unbindable: boolean;
  readonly fsType: string;
  readonly source: string;
  readonly superOptions: readonly string[];
}

/** The kernel writes blank, tab, newline, backslash and '#' as three octal digits. */
function unescape(field: string): string {
  return field.includes('\\')
    ? field.replace(/\\([0-7]{3})/g, (_, digits: string) => String.fromCharCode(Number.parseInt(digits, 8)))
    : field;
}

/** Parses the text of a mountinfo file, in its order (a later mount on one target covers an earlier one). Lines of another form are skipped. */
export function parseMountinfo(text: string): MountEntry[] {
  const mounts: MountEntry[] = [];
  for (const line of text.split('\n')) {
    const fields = line.split(' ');
    const dash = fields.indexOf('-', 6);
    const [id, parent, device, root, mountPoint, options] = fields;
    const [fsType, source, superOptions] = dash < 0 ? [] : fields.slice(dash + 1);
    if (
      !id ||
      !parent ||
      !device ||
      root === undefined ||
      mountPoint === undefined ||
      options === undefined ||
      fsType === undefined
    )
      continue;
    const [major, minor] = device.split(':');
    let shared: number | undefined;
    let master: number | undefined;
    let unbindable = false;
    for (const tag of fields.slice(6, dash)) {
      if (tag.startsWith('shared:')) shared = Number(tag.slice(7));
      else if (tag.startsWith('master:')) master = Number(tag.slice(7));
      else if (tag === 'unbindable') unbindable = true;
    }
    mounts.push({
      id: Number(id),
      parentId: Number(parent),
      major: Number(major),
      minor: Number(minor),
      root: unescape(root),
      mountPoint: unescape(mountPoint),
      options: options.split(','),
      ...(shared === undefined ? {} : { shared }),
      ...(master === undefined ? {} : { master }),
      unbindable,
      fsType: unescape(fsType),
      source: unescape(source ?? ''),
      superOptions: (superOptions ?? '').split(','),
    });
  }
  return mounts;
}

/** The mounts of this process's namespace, or of another process. Errors: Node's, when /proc is not there. */
export function readMountinfo(process: number | 'self' = 'self'): MountEntry[] {
  return parseMountinfo(readFileSync(`/proc/${process}/mountinfo`, 'utf8'));
}
