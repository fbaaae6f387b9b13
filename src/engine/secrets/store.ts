import { mkdirSync, openSync, readdirSync, readFileSync, renameSync } from 'node:fs';
import { join } from 'node:path';
import { TareError } from '../../base/errors.ts';
import { ifPresent } from '../../base/if-present.ts';
import { syncDirectory, writeDurably } from '../../base/durable-files.ts';
import { RENAME_EXCHANGE, renameat2 } from '../../sys/at.ts';
import { Fd } from '../../sys/fd.ts';
import { lockWait } from '../../sys/lock.ts';
import { AT_FDCWD } from '../../sys/open.ts';
import { removeTreeSync } from '../../sys/remove-tree.ts';
import type { Engine } from '../engine.ts';
import { newId } from '../ids.ts';
import type { SecretDriver, SecretDriverName } from './drivers.ts';

/** What is known of a secret besides its value. */
export interface SecretRecord {
  /** 25 hex digits; another one when it is replaced. */
  readonly id: string;
  readonly name: string;
  readonly driver: SecretDriverName;
  readonly driverOptions: Readonly<Record<string, string>>;
  readonly labels: Readonly<Record<string, string>>;
  /** RFC 3339. */
  readonly createdAt: string;
  readonly updatedAt: string;
}

export interface CreateSecretOptions {
  /** Where the value is kept: in a file of ours (the default), or encrypted by gpg as `pass` does it. */
  readonly driver?: SecretDriverName;
  /** `pass`: root, key, gpghomedir. */
  readonly driverOptions?: Readonly<Record<string, string>>;
  readonly labels?: Readonly<Record<string, string>>;
  /** One of that name gets the new value. */
  readonly replace?: boolean;
  /** One of that name stays as it is, and its id is the result. */
  readonly ignoreExisting?: boolean;
}

/** As podman's: what is larger belongs into a volume. */
export const MAX_SECRET_BYTES = 512_000;
const MAX_NAME = 253;
const RECORD = 'secret.json';
/** A directory with this before its id is being made, or being removed: under the lock, or its maker died. */
const UNFINISHED = '.unfinished-';

/**
 * Keeps a secret: `secrets/NAME/`, which is there whole or not at all. Returns its id.
 *
 * Errors: invalid for a bad name or size; already-exists; those of the driver.
 */
export async function createSecret(
  engine: Engine,
  name: string,
  value: Uint8Array,
  options: CreateSecretOptions = {},
): Promise<string> {
  checkSecretName(name);
  if (value.length === 0 || value.length > MAX_SECRET_BYTES)
    throw new TareError(
      'invalid',
      `Cannot create secret ${name}: it has ${value.length} bytes, it must be 1 to ${MAX_SECRET_BYTES}`,
    );
  using _lock = await lockSecrets(engine);
  const known = readRecord(secretDir(engine, name));
  if (known !== undefined && options.replace !== true) {
    if (options.ignoreExisting === true) return known.id;
    throw new TareError('already-exists', `Cannot create secret ${name}: there is one of that name; use --replace`);
  }
  const now = new Date().toISOString();
  const record: SecretRecord = {
    id: newId().slice(0, 25),
    name,
    driver: options.driver ?? 'file',
    driverOptions: options.driverOptions ?? {},
    labels: options.labels ?? {},
    createdAt: known?.createdAt ?? now,
    updatedAt: now,
  };
  const driver = await driverOf(record);
  const made = join(secretsDir(engine), `${UNFINISHED}${record.id}`);
  mkdirSync(made, { mode: 0o700 });
  try {
    writeDurably(join(made, RECORD), JSON.stringify(record));
    await driver.store(made, value);
    if (known === undefined) renameSync(made, secretDir(engine, name));
    else renameat2(AT_FDCWD, made, AT_FDCWD, secretDir(engine, name), RENAME_EXCHANGE);
    syncDirectory(secretsDir(engine));
  } finally {
    // What it replaced, or what came of it so far.
    await dropUnfinished(engine);
  }
  return record.id;
}

/** All secrets, by name. */
export function listSecrets(engine: Engine): SecretRecord[] {
  const names = ifPresent(() => readdirSync(secretsDir(engine))) ?? [];
  return names
    .filter((name) => !name.startsWith('.'))
    .flatMap((name) => readRecord(secretDir(engine, name)) ?? [])
    .sort((a, b) => (a.name < b.name ? -1 : 1));
}

/** A secret by name, id or beginning of an id. Errors: not-found; invalid when several ids begin like that. */
export function findSecret(engine: Engine, nameOrId: string, doing = 'find'): SecretRecord {
  const named = isSecretName(nameOrId) ? readRecord(secretDir(engine, nameOrId)) : undefined;
  if (named !== undefined) return named;
  const fitting = nameOrId === '' ? [] : listSecrets(engine).filter(({ id }) => id.startsWith(nameOrId));
  if (fitting.length > 1)
    throw new TareError('invalid', `Cannot ${doing} secret ${nameOrId}: ${fitting.length} ids begin like that`);
  const [found] = fitting;
  if (found === undefined) throw new TareError('not-found', `Cannot ${doing} secret ${nameOrId}: no such secret`);
  return found;
}

/** Forgets a secret and returns its id. Containers that run keep what they have. Errors: not-found; those of the driver. */
export async function removeSecret(engine: Engine, nameOrId: string): Promise<string> {
  using _lock = await lockSecrets(engine);
  const { id, name } = findSecret(engine, nameOrId, 'remove');
  renameSync(secretDir(engine, name), join(secretsDir(engine), `${UNFINISHED}${id}`));
  syncDirectory(secretsDir(engine));
  await dropUnfinished(engine);
  return id;
}

/** The value of a secret. Errors: not-found; those of the driver. */
export async function readSecret(engine: Engine, nameOrId: string): Promise<Uint8Array> {
  const record = findSecret(engine, nameOrId, 'read');
  return (await driverOf(record)).lookup(secretDir(engine, record.name));
}

/** Loaded when one is needed: it brings modules of Node along. Errors: invalid. */
async function driverOf(record: SecretRecord): Promise<SecretDriver> {
  const { secretDriver } = await import('./drivers.ts');
  return secretDriver(record);
}

/** Errors: invalid. */
function checkSecretName(name: string): void {
  if (!isSecretName(name))
    throw new TareError(
      'invalid',
      `Cannot use secret name ${JSON.stringify(name.slice(0, 80))}: expected letters, digits, "_", "." and "-", with a letter or digit first, at most ${MAX_NAME}`,
    );
}

function isSecretName(name: string): boolean {
  return name.length <= MAX_NAME && /^[A-Za-z0-9][A-Za-z0-9_.-]*$/.test(name);
}

function secretsDir(engine: Engine): string {
  return join(engine.root, 'secrets');
}

function secretDir(engine: Engine, name: string): string {
  return join(secretsDir(engine), name);
}

/** Changes are made one after the other. What a dead one left is cleared away. */
async function lockSecrets(engine: Engine): Promise<Disposable> {
  mkdirSync(secretsDir(engine), { recursive: true, mode: 0o700 });
  const lock = Fd.adopt(openSync(join(secretsDir(engine), '.lock'), 'a+', 0o600));
  try {
    await lockWait(lock, 'write');
    await dropUnfinished(engine);
    return lock;
  } catch (error) {
    lock.close();
    throw error;
  }
}

/** Deletes, under the lock, what is not or no more a secret, with the value wherever its driver keeps it. */
async function dropUnfinished(engine: Engine): Promise<void> {
  for (const name of readdirSync(secretsDir(engine))) {
    if (!name.startsWith(UNFINISHED)) continue;
    const dir = join(secretsDir(engine), name);
    const record = readRecord(dir);
    if (record !== undefined) await (await driverOf(record)).forget();
    removeTreeSync(dir);
  }
}

/** Undefined: there is none, or its maker was killed while writing it. */
function readRecord(dir: string): SecretRecord | undefined {
  const text = ifPresent(() => readFileSync(join(dir, RECORD), 'utf8'));
  if (text === undefined || text === '') return undefined;
  try {
    return JSON.parse(text) as SecretRecord;
  } catch (cause) {
    if (dir.includes(UNFINISHED)) return undefined;
    throw new TareError('failed-precondition', `Cannot read ${join(dir, RECORD)}: it is damaged; remove ${dir}`, {
      cause,
    });
  }
}
