/** docker-credential-* programs (docker-credential-helpers' protocol): an action as argument, the registry on standard input, JSON on standard output. */
import { spawn } from 'node:child_process';
import { TareError, messageOf } from '../base/errors.ts';
import type { Credentials } from './credentials.ts';

const MAX_BYTES = 256 * 1024;
/** Some ask the user, or a cloud. */
const TIMEOUT_MS = 60_000;

export interface HelperOptions {
  /** The program's environment; PATH says where it is looked for. */
  readonly env: Readonly<Record<string, string | undefined>>;
  /** A minute unless stated. */
  readonly timeoutMs?: number;
}

/** The credentials that `docker-credential-NAME` keeps for `server`; undefined when it has none. Errors: `not-found` without the program, `unavailable` when it fails. */
export async function helperGet(
  name: string,
  server: string,
  options: HelperOptions,
): Promise<Credentials | undefined> {
  const { code, output } = await run(name, 'get', server, options);
  if (code !== 0) {
    if (isNothing(output)) return undefined;
    throw failed(name, 'get', code, output);
  }
  let answer: unknown;
  try {
    answer = JSON.parse(output);
  } catch {
    throw new TareError('invalid', `Cannot use credential helper ${name}: its answer is not JSON`);
  }
  const object = typeof answer === 'object' && answer !== null ? (answer as Record<string, unknown>) : {};
  const { Username: username, Secret: secret } = object;
  if (typeof username !== 'string' || typeof secret !== 'string')
    throw new TareError('invalid', `Cannot use credential helper ${name}: its answer has no user name and secret`);
  if (username === '' && secret === '') return undefined;
  return username === '<token>' ? { identityToken: secret } : { username, password: secret };
}

/** Gives `docker-credential-NAME` credentials to keep. The secret goes over its standard input. Errors: as `helperGet`. */
export async function helperStore(
  name: string,
  server: string,
  credentials: { readonly username: string; readonly password: string },
  options: HelperOptions,
): Promise<void> {
  const input = JSON.stringify({ ServerURL: server, Username: credentials.username, Secret: credentials.password });
  const { code, output } = await run(name, 'store', input, options);
  if (code !== 0) throw failed(name, 'store', code, output);
}

/** Lets `docker-credential-NAME` forget what it keeps for `server`; nothing kept is no error. Errors: as `helperGet`. */
export async function helperErase(name: string, server: string, options: HelperOptions): Promise<void> {
  const { code, output } = await run(name, 'erase', server, options);
  if (code !== 0 && !isNothing(output)) throw failed(name, 'erase', code, output);
}

function isNothing(output: string): boolean {
  return /credentials not found/i.test(output);
}

function failed(name: string, action: string, code: number | null, output: string): TareError {
  // What a helper prints to standard output when it fails is its message.
  const said = output
    .slice(0, 200)
    .replace(/[\p{Cc}\p{Cf}]+/gu, ' ')
    .trim();
  return new TareError(
    'unavailable',
    `Cannot use credential helper ${name}: ${action} ended with ${code ?? 'a signal'}${said === '' ? '' : ` (${said})`}`,
  );
}

async function run(
  name: string,
  action: 'get' | 'store' | 'erase',
  input: string,
  { env, timeoutMs = TIMEOUT_MS }: HelperOptions,
): Promise<{ code: number | null; output: string }> {
  if (!/^[a-z0-9_-]{1,64}$/.test(name))
    throw new TareError('invalid', `Cannot use a credential helper: its name has characters it may not have`);
  const program = `docker-credential-${name}`;
  const { promise, resolve, reject } = Promise.withResolvers<{ code: number | null; output: string }>();
  const child = spawn(program, [action], { env: { ...env }, stdio: ['pipe', 'pipe', 'ignore'], shell: false });
  const pieces: Buffer[] = [];
  let bytes = 0;
  const stop = (state: string, kind: 'invalid' | 'unavailable'): void => {
    child.kill('SIGKILL');
    reject(new TareError(kind, `Cannot use credential helper ${name}: ${state}`));
  };
  const timer = setTimeout(() => stop('it takes too long', 'unavailable'), timeoutMs);
  child.stdout.on('data', (piece: Buffer) => {
    bytes += piece.byteLength;
    if (bytes > MAX_BYTES) stop(`its answer is longer than ${MAX_BYTES} bytes`, 'invalid');
    else pieces.push(piece);
  });
  child.on('error', (cause) => {
    const absent = 'code' in cause && cause.code === 'ENOENT';
    reject(
      new TareError(
        absent ? 'not-found' : 'unavailable',
        `Cannot use credential helper ${name}: ${absent ? `there is no program ${program}` : messageOf(cause)}`,
        { cause },
      ),
    );
  });
  child.on('close', (code) => resolve({ code, output: Buffer.concat(pieces).toString('utf8') }));
  // One that does not read its input has its own exit code.
  child.stdin.on('error', () => {});
  child.stdin.end(`${input}\n`);
  try {
    return await promise;
  } finally {
    clearTimeout(timer);
  }
}
