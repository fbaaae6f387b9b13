/** What Tare takes from storage.conf. */
export interface StorageConf {
  readonly driver?: string;
  readonly graphRoot?: string;
  readonly runRoot?: string;
}

/**
 * Reads `driver`, `graphroot` and `runroot` of the `[storage]` table out of a storage.conf. Only plain TOML strings on one line are understood; other keys and
 * tables are skipped, so nothing in the file is an error.
 */
export function readStorageConf(text: string): StorageConf {
  const values = new Map<string, string>();
  let table = '';
  for (const line of text.split('\n')) {
    const header = /^\s*\[\s*([\w.-]+)\s*\]\s*(?:#.*)?$/.exec(line);
    if (header !== null) table = header[1] ?? '';
    const entry = /^\s*(\w+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|'([^']*)')\s*(?:#.*)?$/.exec(line);
    if (table !== 'storage' || entry?.[1] === undefined) continue;
    const value = entry[3] ?? entry[2]?.replace(/\\(["\\])/g, '$1') ?? '';
    if (value !== '') values.set(entry[1], value);
  }
  const driver = values.get('driver');
  const graphRoot = values.get('graphroot');
  const runRoot = values.get('runroot');
  return {
    ...(driver === undefined ? {} : { driver }),
    ...(graphRoot === undefined ? {} : { graphRoot }),
    ...(runRoot === undefined ? {} : { runRoot }),
  };
}
