/** Starts Debian's docker-registry for a test: a free port of localhost, a directory of its own, gone at the end of the scope. */
import { execFileSync, spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { needs } from './needs.ts';

export interface TestRegistry extends AsyncDisposable {
  /** `localhost:PORT`. */
  readonly domain: string;
  /** PEM of the authority that signed its certificate; only with `tls`. */
  readonly ca: string | undefined;
  /** Copies an image into it with skopeo: `push('oci:dir:name', 'repo:tag')`. With `all`, an index with all its images. Digests are kept. */
  push(source: string, name: string, options?: { all?: boolean; format?: 'oci' | 'v2s2' }): void;
  /** Ends the process, so that the registry cannot be reached any more. */
  stop(): Promise<void>;
}

/** The reason why `startRegistry` cannot work here, or false. */
export function noRegistry(): string | false {
  return needs.program('docker-registry', 'skopeo', 'openssl');
}

/** Resolves when it answers. `tls`: https only, with a certificate for localhost of an authority of its own. */
export async function startRegistry(options: { tls?: boolean } = {}): Promise<TestRegistry> {
  const dir = mkdtempSync(join(tmpdir(), 'tare-registry-'));
  try {
    const certificates = options.tls === true ? makeCertificates(dir) : undefined;
    // The port is free when we look; another process may be faster, so there are several tries.
    for (let attempt = 1; ; attempt++) {
      const port = await freePort();
      const child = await launch(dir, port, certificates);
      if (child !== undefined) return handle(dir, port, child, certificates && readFileSync(certificates.ca, 'utf8'));
      if (attempt === 5) throw new Error(`docker-registry does not start:\n${readFileSync(join(dir, 'log'), 'utf8')}`);
    }
  } catch (error) {
    rmSync(dir, { recursive: true, force: true });
    throw error;
  }
}

interface Certificates {
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
  certificates: Certificates | undefined,
): Promise<ChildProcess | undefined> {
  const config = {
    version: '0.1',
    log: { level: 'error' },
    storage: { filesystem: { rootdirectory: join(dir, 'data') }, delete: { enabled: true } },
    http: {
      addr: `127.0.0.1:${port}`,
      ...(certificates && { tls: { certificate: certificates.certificate, key: certificates.key } }),
    },
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

function handle(dir: string, port: number, child: ChildProcess, ca: string | undefined): TestRegistry {
  const domain = `localhost:${port}`;
  const stop = async (): Promise<void> => {
    if (child.exitCode !== null || child.signalCode !== null) return;
    child.kill('SIGKILL');
    await once(child, 'exit');
  };
  return {
    domain,
    ca,
    push(source, name, options = {}) {
      const flags = [
        '--dest-tls-verify=false',
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
      rmSync(dir, { recursive: true, force: true });
    },
  };
}
