/** Starts Debian's docker-registry for a test: a free port of localhost, a directory of its own, gone at the end of the scope. */
import { execFileSync, spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { needs } from './needs.ts';
import { startTokenServer, TOKEN_ISSUER, TOKEN_SERVICE, type TokenServer } from './token-server.ts';

export interface TestRegistry extends AsyncDisposable {
  /** `localhost:PORT`. */
  readonly domain: string;
  /** PEM of the authority that signed its certificate; only with `tls`. */
  readonly ca: string | undefined;
  /** Its certificate and key, and the authority's certificate, as paths; only with `tls`. */
  readonly certificates: Certificates | undefined;
  /** The token server beside it; only with `login: 'token'`. */
  readonly tokens: TokenServer | undefined;
  /** Copies an image into it with skopeo: `push('oci:dir:name', 'repo:tag')`. With `all`, an index with all its images. Digests are kept. Not with `login: 'token'`. */
  push(source: string, name: string, options?: { all?: boolean; format?: 'oci' | 'v2s2' }): void;
  /** Ends the process, so that the registry cannot be reached any more. */
  stop(): Promise<void>;
}

/** The reason why `startRegistry` cannot work here, or false. */
export function noRegistry(): string | false {
  return needs.program('docker-registry', 'skopeo', 'openssl');
}

/** Resolves when it answers. With `tls` its certificate is for localhost, of an authority of its own. */
export async function startRegistry(options: RegistryOptions = {}): Promise<TestRegistry> {
  const dir = mkdtempSync(join(tmpdir(), 'tare-registry-'));
  let tokens: TokenServer | undefined;
  try {
    const tls = options.tls === true || options.clientCertificate === true;
    const certificates = tls || options.login === 'token' ? makeCertificates(dir) : undefined;
    if (options.login === 'token' && certificates !== undefined)
      tokens = await startTokenServer(certificates, { [testUser.username]: testUser.password }, { tls });
    // The port is free when we look; another process may be faster, so there are several tries.
    for (let attempt = 1; ; attempt++) {
      const port = await freePort();
      const child = await launch(dir, port, { options, certificates, tls, tokens });
      if (child !== undefined) return handle(dir, port, child, tls ? certificates : undefined, tokens, options.login);
      if (attempt === 5) throw new Error(`docker-registry does not start:\n${readFileSync(join(dir, 'log'), 'utf8')}`);
    }
  } catch (error) {
    await tokens?.[Symbol.asyncDispose]();
    rmSync(dir, { recursive: true, force: true });
    throw error;
  }
}

/** What a test registry wants of its clients. */
export interface RegistryOptions {
  /** https only. */
  readonly tls?: boolean;
  /** `testUser`'s password: at the registry itself, or at a token server beside it. */
  readonly login?: 'htpasswd' | 'token';
  /** https only, with a certificate of the authority that signed the registry's own; that one will do. */
  readonly clientCertificate?: boolean;
}

/** The one who may do everything where a login is wanted. */
export const testUser = { username: 'ann', password: 's3cret:pass' };
/** bcrypt of testUser's password. */
const testUserHash = '$2b$05$abcdefghijklmnopqrstuuKqhJSfTIYV1SkiVqP0GjQATd/vnrS1a';

export interface Certificates {
  readonly ca: string;
  readonly certificate: string;
  readonly key: string;
}

/** A new authority and a certificate of it for localhost and 127.0.0.1. */
export function makeCertificates(dir: string): Certificates {
  const at = (name: string): string => join(dir, name);
  const openssl = (...args: string[]): void => void execFileSync('openssl', args, { stdio: 'pipe' });
  const curve = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'];
  openssl(
    'req',
    '-x509',
    ...curve,
    '-days',
    '2',
    '-subj',
    '/CN=Tare test authority',
    '-keyout',
    at('ca.key'),
    '-out',
    at('ca.crt'),
  );
  openssl('req', ...curve, '-subj', '/CN=localhost', '-keyout', at('tls.key'), '-out', at('tls.csr'));
  writeFileSync(at('tls.ext'), 'subjectAltName=DNS:localhost,IP:127.0.0.1\n');
  const signing = [
    '-CA',
    at('ca.crt'),
    '-CAkey',
    at('ca.key'),
    '-CAcreateserial',
    '-days',
    '2',
    '-extfile',
    at('tls.ext'),
  ];
  openssl('x509', '-req', '-in', at('tls.csr'), ...signing, '-out', at('tls.crt'));
  return { ca: at('ca.crt'), certificate: at('tls.crt'), key: at('tls.key') };
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  server.close();
  await once(server, 'close');
  if (address === null || typeof address === 'string') throw new Error('no port');
  return address.port;
}

async function launch(
  dir: string,
  port: number,
  how: {
    readonly options: RegistryOptions;
    readonly certificates: Certificates | undefined;
    readonly tls: boolean;
    readonly tokens: TokenServer | undefined;
  },
): Promise<ChildProcess | undefined> {
  const { options, certificates, tokens } = how;
  if (options.login === 'htpasswd') writeFileSync(join(dir, 'htpasswd'), `${testUser.username}:${testUserHash}\n`);
  const auth =
    options.login === 'htpasswd'
      ? { htpasswd: { realm: 'tare', path: join(dir, 'htpasswd') } }
      : tokens && {
          token: {
            realm: tokens.realm,
            service: TOKEN_SERVICE,
            issuer: TOKEN_ISSUER,
            rootcertbundle: certificates?.ca,
          },
        };
  const tls = how.tls &&
    certificates && {
      certificate: certificates.certificate,
      key: certificates.key,
      ...(options.clientCertificate === true && { clientcas: [certificates.ca] }),
    };
  const config = {
    version: '0.1',
    log: { level: 'error' },
    storage: { filesystem: { rootdirectory: join(dir, 'data') }, delete: { enabled: true } },
    http: { addr: `127.0.0.1:${port}`, ...(tls && { tls }) },
    ...(auth && { auth }),
  };
  // JSON is YAML.
  writeFileSync(join(dir, 'config.yml'), JSON.stringify(config));
  const child = spawn('docker-registry', ['serve', join(dir, 'config.yml')], { stdio: ['ignore', 'pipe', 'pipe'] });
  let log = '';
  child.stdout.on('data', (data) => (log += String(data)));
  child.stderr.on('data', (data) => (log += String(data)));
  for (let tries = 0; tries < 200 && child.exitCode === null; tries++) {
    if (await listens(port)) return child;
    await delay(25);
  }
  child.kill('SIGKILL');
  writeFileSync(join(dir, 'log'), log);
  return undefined;
}

async function listens(port: number): Promise<boolean> {
  const socket = connect(port, '127.0.0.1');
  try {
    await once(socket, 'connect');
    return true;
  } catch {
    return false;
  } finally {
    socket.destroy();
  }
}

function handle(
  dir: string,
  port: number,
  child: ChildProcess,
  certificates: Certificates | undefined,
  tokens: TokenServer | undefined,
  login: RegistryOptions['login'],
): TestRegistry {
  const domain = `localhost:${port}`;
  const stop = async (): Promise<void> => {
    if (child.exitCode !== null || child.signalCode !== null) return;
    child.kill('SIGKILL');
    await once(child, 'exit');
  };
  return {
    domain,
    ca: certificates && readFileSync(certificates.ca, 'utf8'),
    certificates,
    tokens,
    push(source, name, options = {}) {
      if (tokens !== undefined) throw new Error('the token server cannot answer while we wait for skopeo');
      const flags = [
        '--dest-tls-verify=false',
        ...(login === 'htpasswd' ? ['--dest-creds', `${testUser.username}:${testUser.password}`] : []),
        ...(options.all === true ? ['--all'] : []),
        ...(options.format ? ['--format', options.format] : []),
      ];
      execFileSync('skopeo', ['--insecure-policy', 'copy', '-q', ...flags, source, `docker://${domain}/${name}`], {
        stdio: 'pipe',
      });
    },
    stop,
    async [Symbol.asyncDispose]() {
      await stop();
      await tokens?.[Symbol.asyncDispose]();
      rmSync(dir, { recursive: true, force: true });
    },
  };
}
