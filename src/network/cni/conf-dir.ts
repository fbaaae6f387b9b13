import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { TareError } from '../../base/errors.ts';
import { sysErrorOf } from '../../sys/error.ts';
import { type CniNetwork, MAX_CONF_BYTES, parseCniNetwork } from './cni-network.ts';

/** Where an administrator, or what installs a network, puts configurations. */
export const CNI_CONF_DIR = '/etc/cni/net.d';

const MAX_FILES = 1024;

/** What is in a directory of configurations. */
export interface CniConfDir {
  /** In the order of their files' names; of two with one name the first counts. */
  readonly networks: readonly CniNetwork[];
  /** Why other files could not be used: each names its file. */
  readonly problems: readonly TareError[];
}

/** Reads all configurations (`.conflist`, `.conf`, `.json`). One that cannot be used does not hide the others. No directory: none. Errors: by errno; exhausted for more than 1024 files. */
export function readCniConfDir(dir: string): CniConfDir {
  const networks: CniNetwork[] = [];
  const problems: TareError[] = [];
  for (const name of confNames(dir)) {
    const path = join(dir, name);
    try {
      const network = readConf(path);
      const other = networks.find((one) => one.name === network.name);
      if (other !== undefined)
        throw new TareError(
          'already-exists',
          `Cannot use CNI configuration ${path}: ${other.path} has network ${network.name}`,
        );
      networks.push(network);
    } catch (error) {
      if (!(error instanceof TareError)) throw error;
      problems.push(error);
    }
  }
  return { networks, problems };
}

/** The configuration of a network. Errors: not-found, saying which files could not be used. */
export function findCniNetwork(dir: string, name: string): CniNetwork {
  const { networks, problems } = readCniConfDir(dir);
  const found = networks.find((network) => network.name === name);
  if (found !== undefined) return found;
  const why = problems.map(({ message }) => `; ${message}`).join('');
  throw new TareError('not-found', `Cannot find CNI network ${name}: no configuration of that name in ${dir}${why}`);
}

function confNames(dir: string): string[] {
  let names: string[];
  try {
    names = readdirSync(dir);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw sysErrorOf(error);
  }
  const wanted = names.filter((name) => /\.(conflist|conf|json)$/.test(name) && !name.startsWith('.')).sort();
  if (wanted.length > MAX_FILES)
    throw new TareError('exhausted', `Cannot read ${dir}: it has more than ${MAX_FILES} CNI configurations`);
  return wanted;
}

function readConf(path: string): CniNetwork {
  const cannot = (why: string): TareError => new TareError('invalid', `Cannot use CNI configuration ${path}: ${why}`);
  let text: string;
  try {
    // Nobody waits at a pipe.
    const stat = statSync(path);
    if (!stat.isFile()) throw cannot('it is no regular file');
    if (stat.size > MAX_CONF_BYTES) throw cannot(`it has more than ${MAX_CONF_BYTES} bytes`);
    text = readFileSync(path, 'utf8');
  } catch (error) {
    throw sysErrorOf(error);
  }
  return parseCniNetwork(text, path);
}
