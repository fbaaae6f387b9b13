import { spawn } from 'node:child_process';
import { existsSync, readFileSync, unlinkSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { TareError } from '../../base/errors.ts';
import { ifPresent } from '../../base/if-present.ts';
import { writeDurably } from '../../base/durable-files.ts';
import type { SecretRecord } from './store.ts';

/** How values are kept. */
export type SecretDriverName = 'file' | 'pass';

/** What `--driver-opts` may say. */
const options: Readonly<Record<SecretDriverName, readonly string[]>> = {
  file: [],
  pass: ['root', 'key', 'gpghomedir'],
};
const DATA = 'data';
const MAX_OUTPUT_BYTES = 1024 * 1024;

export interface SecretDriver {
  /** `dir` is the secret's own, new directory. */
  store(dir: string, value: Uint8Array): Promise<void>;
  lookup(dir: string): Promise<Uint8Array>;
  /** Deletes what is outside of its directory. Idempotent. */
  forget(): Promise<void>;
}

/** Errors: invalid for options the driver does not have. */
export function secretDriver(record: Pick<SecretRecord, 'id' | 'name' | 'driver' | 'driverOptions'>): SecretDriver {
  const unknown = Object.keys(record.driverOptions).find((key) => !options[record.driver].includes(key));
  if (unknown !== undefined)
    throw new TareError(
      'invalid',
      `Cannot use secret ${record.name}: driver ${record.driver} has no option ${unknown} (it has: ${options[record.driver].join(', ') || 'none'})`,
    );
  return record.driver === 'pass' ? passDriver(record) : fileDriver;
}

/** In its directory, which only the owner of the container root can read. */
const fileDriver: SecretDriver = {
  store: (dir, value) => Promise.resolve(writeDurably(join(dir, DATA), value)),
  lookup: (dir) => readFile(join(dir, DATA)),
  forget: () => Promise.resolve(),
};

/** `ROOT/ID.gpg`, encrypted for the key of a password store, as podman's driver of this name does it. */
function passDriver({ id, name, driverOptions }: Pick<SecretRecord, 'id' | 'name' | 'driverOptions'>): SecretDriver {
  const root = driverOptions['root'] ?? process.env['PASSWORD_STORE_DIR'] ?? join(homedir(), '.password-store');
  const file = join(root, `${id}.gpg`);
  const home = driverOptions['gpghomedir'];
  const gpg = (doing: string, args: readonly string[], input?: Uint8Array): Promise<Uint8Array> =>
    runGpg(`${doing} secret ${name}`, [...(home === undefined ? [] : ['--homedir', home]), '--batch', ...args], input);
  return {
    async store(_dir, value) {
      const key = driverOptions['key'] ?? ifPresent(() => readFileSync(join(root, '.gpg-id'), 'utf8').trim());
      if (key === undefined || key === '')
        throw new TareError(
          'invalid',
          `Cannot create secret ${name}: there is no password store in ${root}; make one (pass init KEY), or give --driver-opts key=KEY`,
        );
      await gpg('create', ['--encrypt', '--recipient', key, '--output', file], value);
    },
    async lookup() {
      if (!existsSync(file)) throw new TareError('not-found', `Cannot read secret ${name}: ${file} is gone`);
      return gpg('read', ['--quiet', '--decrypt', file]);
    },
    forget: () => Promise.resolve(ifPresent(() => unlinkSync(file))),
  };
}

/** Values go in and come out by pipes, never as arguments. */
function runGpg(doing: string, args: readonly string[], input: Uint8Array = new Uint8Array(0)): Promise<Uint8Array> {
  const { promise, resolve, reject } = Promise.withResolvers<Uint8Array>();
  const child = spawn('gpg', args, { stdio: 'pipe' });
  const output: Buffer[] = [];
  const complaint: Buffer[] = [];
  let bytes = 0;
  child.stdout.on('data', (chunk: Buffer) => {
    bytes += chunk.length;
    if (bytes > MAX_OUTPUT_BYTES) child.kill();
    else output.push(chunk);
  });
  child.stderr.on('data', (chunk: Buffer) => {
    if (complaint.length < 16) complaint.push(chunk);
  });
  // It may leave without reading.
  child.stdin.on('error', () => {});
  child.stdin.end(input);
  child.on('error', (cause: NodeJS.ErrnoException) => {
    const what = cause.code === 'ENOENT' ? 'gpg is not installed (Debian: apt-get install gnupg)' : cause.message;
    reject(new TareError('unavailable', `Cannot ${doing}: ${what}`, { cause }));
  });
  child.on('close', (code) => {
    if (code === 0 && bytes <= MAX_OUTPUT_BYTES) return resolve(Buffer.concat(output));
    const said = Buffer.concat(complaint).toString().trim().split('\n').at(-1)?.slice(0, 300);
    reject(
      new TareError('unavailable', `Cannot ${doing}: gpg says: ${said === undefined || said === '' ? code : said}`),
    );
  });
  return promise;
}
