/** Files of credentials: containers-auth.json(5), which is Docker's config.json, and the older .dockercfg. */
import { randomBytes } from 'node:crypto';
import {
  closeSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readFileSync,
  realpathSync,
  renameSync,
  rmSync,
  writeSync,
} from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { TareError, isKind } from '../base/errors.ts';
import type { Credentials } from './credentials.ts';

const MAX_BYTES = 1024 * 1024;
const MAX_ENTRIES = 10_000;

/** What an auth file says. Keys are as written: `HOST`, `HOST/PATH`, or an address. */
export interface AuthFile {
  /** Every key there is, also of entries without credentials, as Docker leaves behind for a helper. */
  readonly keys: readonly string[];
  readonly auths: ReadonlyMap<string, Credentials>;
  /** Programs by key: `docker-credential-NAME`. */
  readonly credHelpers: ReadonlyMap<string, string>;
  /** The program for every registry that is not in `credHelpers`. */
  readonly credsStore: string | undefined;
}

/**
 * The auth file at `path`; undefined when there is none.
 *
 * Errors: `denied`; `invalid` when it cannot be read as one.
 */
export function readAuthFile(path: string): AuthFile | undefined {
  const text = readText(path);
  return text === undefined ? undefined : parseAuthFile(text, path);
}

/** The auth file in `text`; `path` is for messages, and says by its name whether the older form is meant. Errors: `invalid`. */
export function parseAuthFile(text: string, path: string): AuthFile {
  const document = documentOf(text, path);
  const legacy = basename(path) === '.dockercfg';
  const auths = new Map<string, Credentials>();
  const keys: string[] = [];
  for (const [key, value] of entries(legacy ? document : document['auths'], 'auths', path)) {
    const credentials = credentialsOf(value, key, path);
    keys.push(key);
    if (credentials !== undefined) auths.set(key, credentials);
  }
  const credHelpers = new Map<string, string>();
  if (legacy) return { keys, auths, credHelpers, credsStore: undefined };
  for (const [key, value] of entries(document['credHelpers'], 'credHelpers', path))
    credHelpers.set(key, helperName(value, path));
  const store = document['credsStore'];
  return {
    keys,
    auths,
    credHelpers,
    credsStore: store === undefined || store === '' ? undefined : helperName(store, path),
  };
}

/**
 * Sets the password for `key` in the auth file at `path`, or removes the entry; everything else in the file stays. The file is replaced at once, and readable by its owner only;
 * of two who write at the same time, one wins.
 *
 * Returns whether there was an entry before. Errors: `denied`, `invalid`.
 */
export function writeAuth(path: string, key: string, credentials: Credentials | undefined): boolean {
  return rewrite(path, (auths) => {
    const had = auths.has(key);
    if (credentials === undefined) auths.delete(key);
    else auths.set(key, entryOf(credentials));
    return had;
  });
}

/** Removes every entry of the auth file at `path`. Errors: as `writeAuth`. */
export function clearAuths(path: string): void {
  rewrite(path, (auths) => {
    auths.clear();
    return true;
  });
}

/** Changes the entries. They are a Map on the way: a key may be `__proto__`. */
function rewrite(path: string, change: (auths: Map<string, unknown>) => boolean): boolean {
  const text = readText(path);
  const document = text === undefined || text.trim() === '' ? {} : documentOf(text, path);
  const auths = new Map(entries(document['auths'], 'auths', path));
  const result = change(auths);
  if (text === undefined && auths.size === 0) return result;
  replace(path, `${JSON.stringify({ ...document, auths: Object.fromEntries(auths) }, undefined, '\t')}\n`);
  return result;
}

function entryOf(credentials: Credentials): Record<string, string> {
  const pair = (user: string, password: string): string => Buffer.from(`${user}:${password}`).toString('base64');
  if ('password' in credentials) return { auth: pair(credentials.username, credentials.password) };
  return { auth: pair(credentials.username ?? '', ''), identitytoken: credentials.identityToken };
}

function readText(path: string): string | undefined {
  let bytes: Buffer;
  try {
    bytes = readFileSync(path);
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException;
    if (code === 'ENOENT' || code === 'ENOTDIR') return undefined;
    throw new TareError(code === 'EACCES' ? 'denied' : 'invalid', `Cannot read the credentials in ${path}: ${code}`, {
      cause,
    });
  }
  if (bytes.byteLength > MAX_BYTES) throw unusable(path, `it is longer than ${MAX_BYTES} bytes`);
  return bytes.toString('utf8');
}

function documentOf(text: string, path: string): Record<string, unknown> {
  let value: unknown;
  try {
    value = text.trim() === '' ? {} : JSON.parse(text);
  } catch {
    // The parser's words would show a part of the file, which may be a password.
    throw unusable(path, 'it is not JSON');
  }
  if (!isObject(value)) throw unusable(path, 'it is not an object');
  return value;
}

function entries(value: unknown, name: string, path: string): [string, unknown][] {
  if (value === undefined || value === null) return [];
  if (!isObject(value)) throw unusable(path, `${name} is not an object`);
  const list = Object.entries(value);
  if (list.length > MAX_ENTRIES) throw unusable(path, `${name} has more than ${MAX_ENTRIES} entries`);
  return list;
}

function credentialsOf(value: unknown, key: string, path: string): Credentials | undefined {
  const shown = JSON.stringify(key.slice(0, 200));
  if (!isObject(value)) throw unusable(path, `the entry of ${shown} is not an object`);
  const text = (name: string): string => {
    const field = value[name] ?? '';
    if (typeof field !== 'string') throw unusable(path, `${name} of ${shown} is not text`);
    return field;
  };
  let [username, password] = [text('username'), text('password')];
  const auth = text('auth');
  if (auth !== '') {
    const decoded = Buffer.from(auth, 'base64').toString('utf8');
    const colon = decoded.indexOf(':');
    if (colon < 0 || !/^[A-Za-z0-9+/_-]+={0,2}\s*$/.test(auth))
      throw unusable(path, `auth of ${shown} is not base64 of USER:PASSWORD`);
    // Docker pads some with zero bytes.
    [username, password] = [decoded.slice(0, colon), decoded.slice(colon + 1).replace(/\0+$/, '')];
  }
  const identityToken = text('identitytoken');
  if (identityToken !== '') return { identityToken, ...(username !== '' && { username }) };
  return username === '' && password === '' ? undefined : { username, password };
}

function helperName(value: unknown, path: string): string {
  if (typeof value !== 'string' || !/^[a-z0-9_-]{1,64}$/.test(value))
    throw unusable(path, 'the name of a credential helper has characters other than a-z, 0-9, "_" and "-"');
  return value;
}

function replace(path: string, text: string): void {
  let temporary: string | undefined;
  try {
    mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
    // A link stays one: what it leads to is replaced.
    const target = existing(path) ?? path;
    temporary = join(dirname(target), `.${basename(target)}.${randomBytes(8).toString('hex')}`);
    const fd = openSync(temporary, 'wx', 0o600);
    try {
      writeSync(fd, text);
      fsyncSync(fd);
    } finally {
      closeSync(fd);
    }
    renameSync(temporary, target);
  } catch (cause) {
    if (temporary !== undefined) rmSync(temporary, { force: true });
    if (isKind(cause, 'invalid')) throw cause;
    const { code } = cause as NodeJS.ErrnoException;
    const kind = code === 'EACCES' || code === 'EROFS' || code === 'EPERM' ? 'denied' : 'unavailable';
    throw new TareError(kind, `Cannot write the credentials to ${path}: ${code}`, { cause });
  }
}

function existing(path: string): string | undefined {
  try {
    return realpathSync(path);
  } catch {
    return undefined;
  }
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function unusable(path: string, state: string): TareError {
  return new TareError('invalid', `Cannot use the credentials in ${path}: ${state}`);
}
