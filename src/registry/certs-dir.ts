import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { TareError } from '../base/errors.ts';
import type { ClientCertificate } from './_exchange.ts';

const MAX_FILES = 100;
const MAX_FILE_BYTES = 1024 * 1024;

/** What a directory of certificates holds for one registry, all PEM. */
export interface HostCertificates {
  /** Authorities besides the machine's own. */
  readonly ca: readonly string[];
  readonly clientCertificates: readonly ClientCertificate[];
}

/**
 * The certificates for `host` (with its port, as in a reference) in the first of `dirs` that has a folder of that name (containers-certs.d(5)): `*.crt` are authorities,
 * `*.cert` with `*.key` of the same name is what we show.
 *
 * Errors: `invalid` for a certificate without key and the other way round, or what is no PEM; `denied`.
 */
export function readHostCertificates(host: string, dirs: readonly string[]): HostCertificates {
  for (const parent of dirs) {
    const dir = join(parent, host);
    const names = list(dir);
    if (names !== undefined) return readDir(dir, names);
  }
  return { ca: [], clientCertificates: [] };
}

/** The certificates in `dir` itself; none when it is not there. Errors: as `readHostCertificates`. */
export function readCertificates(dir: string): HostCertificates {
  return readDir(dir, list(dir) ?? []);
}

function readDir(dir: string, names: readonly string[]): HostCertificates {
  const ca: string[] = [];
  const clientCertificates: ClientCertificate[] = [];
  for (const name of names) {
    if (name.endsWith('.crt')) ca.push(pem(join(dir, name)));
    if (name.endsWith('.cert')) {
      const key = `${name.slice(0, -'.cert'.length)}.key`;
      if (!names.includes(key)) throw unusable(join(dir, name), `there is no ${key} beside it`);
      clientCertificates.push({ certificate: pem(join(dir, name)), key: pem(join(dir, key)) });
    }
    if (name.endsWith('.key') && !names.includes(`${name.slice(0, -'.key'.length)}.cert`))
      throw unusable(join(dir, name), `there is no ${name.slice(0, -'.key'.length)}.cert beside it`);
  }
  return { ca, clientCertificates };
}

function list(dir: string): string[] | undefined {
  try {
    const names = readdirSync(dir)
      .filter((name) => /\.(?:crt|cert|key)$/.test(name))
      .sort();
    if (names.length > MAX_FILES) throw unusable(dir, `it has more than ${MAX_FILES} files`);
    return names;
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException;
    if (code === 'ENOENT' || code === 'ENOTDIR') return undefined;
    if (cause instanceof TareError) throw cause;
    throw new TareError('denied', `Cannot read the certificates in ${dir}: ${code}`, { cause });
  }
}

function pem(path: string): string {
  let text: string;
  try {
    text = readFileSync(path, 'latin1');
  } catch (cause) {
    throw new TareError('denied', `Cannot read certificate ${path}: ${(cause as NodeJS.ErrnoException).code}`, {
      cause,
    });
  }
  if (text.length > MAX_FILE_BYTES) throw unusable(path, `it is longer than ${MAX_FILE_BYTES} bytes`);
  if (!text.includes('-----BEGIN ')) throw unusable(path, 'it is not PEM');
  return text;
}

function unusable(path: string, state: string): TareError {
  return new TareError('invalid', `Cannot use certificate ${path}: ${state}`);
}
