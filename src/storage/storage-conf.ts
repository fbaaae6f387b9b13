/** What Tare takes from storage.conf. */
export interface StorageConf {
  readonly driver?: string;
  readonly graphRoot?: string;
  readonly runRoot?: string;
  /** For unprivileged users, in the machine's file; with variables such as `$HOME`. */
  readonly rootlessStoragePath?: string;
  /** A program that mounts layers instead of the kernel: `[storage.options.overlay] mount_program`, or the same of `[storage.options]`. */
  readonly mountProgram?: string;
  /** `force_mask`: files on the disk have other owners and modes than the image says. */
  readonly forceMask?: string;
  /** Settings that put records where Tare does not look for them: using the store in spite of them would harm it. */
  readonly unsupported: readonly string[];
}

/** Where storage.conf may be, the first one that is there counts (containers-storage.conf(5)). `CONTAINERS_STORAGE_CONF` comes before them. */
export const storageConfPaths: readonly string[] = [
  '/etc/containers/storage.conf',
  '/usr/share/containers/storage.conf',
];

/**
 * Reads `driver`, `graphroot` and `runroot` of the `[storage]` table out of a storage.conf and the program that mounts, and notes what would move its records elsewhere. Only plain TOML values on one line are
 * understood, which is how the file is written everywhere; a TOML parser would cost every start a millisecond. Other keys and tables are skipped, so nothing in the file is an error.
 */
export function readStorageConf(text: string): StorageConf {
  const values = new Map<string, string>();
  const unsupported: string[] = [];
  const options = new Map<string, string>();
  let table = '';
  for (const line of text.split('\n')) {
    const header = /^\s*\[\s*([\w.-]+)\s*\]\s*(?:#.*)?$/.exec(line);
    if (header !== null) table = header[1] ?? '';
    const entry = /^\s*(\w+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|'([^']*)'|(true|\d\w*))\s*(?:#.*)?$/.exec(line);
    if (entry?.[1] === undefined) continue;
    const value = entry[4] ?? entry[3] ?? entry[2]?.replace(/\\(["\\])/g, '$1') ?? '';
    if (value === '') continue;
    // What is said of the driver comes before what is said of all.
    if (table === 'storage.options.overlay' || (table === 'storage.options' && !options.has(entry[1])))
      options.set(entry[1], value);
    if (table !== 'storage') continue;
    values.set(entry[1], value);
    if (entry[1] === 'imagestore' || entry[1] === 'transient_store') unsupported.push(entry[1]);
  }
  const driver = values.get('driver');
  const graphRoot = values.get('graphroot');
  const runRoot = values.get('runroot');
  const rootlessStoragePath = values.get('rootless_storage_path');
  const mountProgram = options.get('mount_program');
  const forceMask = options.get('force_mask');
  return {
    ...(driver === undefined ? {} : { driver }),
    ...(graphRoot === undefined ? {} : { graphRoot }),
    ...(runRoot === undefined ? {} : { runRoot }),
    ...(rootlessStoragePath === undefined ? {} : { rootlessStoragePath }),
    ...(mountProgram === undefined ? {} : { mountProgram }),
    ...(forceMask === undefined ? {} : { forceMask }),
    unsupported,
  };
}

/** How `--userns auto` chooses ids. */
export interface AutoUserns {
  /** Whose sub-ids root's containers get. */
  readonly user: string;
  readonly minSize: number;
  readonly maxSize: number;
}

/** Reads `root-auto-userns-user`, `auto-userns-min-size` and `auto-userns-max-size` of `[storage.options]`; what is not there, or damaged, has podman's own value. */
export function readAutoUserns(text: string): AutoUserns {
  const values = new Map<string, string>();
  let table = '';
  for (const line of text.split('\n')) {
    table = /^\s*\[\s*([\w.-]+)\s*\]\s*(?:#.*)?$/.exec(line)?.[1] ?? table;
    const entry = /^\s*([\w-]+)\s*=\s*(?:"([^"]*)"|'([^']*)'|(\d{1,10}))\s*(?:#.*)?$/.exec(line);
    if (table === 'storage.options' && entry?.[1] !== undefined)
      values.set(entry[1], entry[2] ?? entry[3] ?? entry[4] ?? '');
  }
  const size = (key: string, standard: number): number => {
    const value = values.get(key) ?? '';
    return /^\d{1,10}$/.test(value) && Number(value) > 0 ? Number(value) : standard;
  };
  return {
    user: values.get('root-auto-userns-user') || 'containers',
    minSize: size('auto-userns-min-size', 1024),
    maxSize: size('auto-userns-max-size', 65_536),
  };
}
