import { spawn, spawnSync } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { homedir, tmpdir } from 'node:os';
import { delimiter, dirname, join } from 'node:path';
import { text } from 'node:stream/consumers';
import { unmountBelow } from '../support/mounts.ts';
import { type Need } from '../support/needs.ts';
import { startRegistry } from './registry.ts';

/** This checkout. */
export const root = join(import.meta.dirname, '../..');

/** The folder in PATH with this machine's npm and its Node; the checkout's own node_modules/.bin has our Node. */
const npmFolder = (process.env['PATH'] ?? '')
  .split(delimiter)
  .find((dir) => !dir.includes('node_modules') && existsSync(join(dir, 'npm')) && existsSync(join(dir, 'node')));

/** Installing needs the npm of this machine. */
export const needsNpm: Need = npmFolder === undefined && 'needs npm';

/** This machine's npm. */
export const npmProgram = join(npmFolder ?? '/usr/bin', 'npm');

/** How a program went. */
export interface Outcome {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

interface Where {
  readonly cwd: string;
  readonly env: NodeJS.ProcessEnv;
}

/** Runs a program to its end, with this environment only. */
export async function run(argv: readonly string[], where: Where): Promise<Outcome> {
  const [program = '', ...args] = argv;
  const child = spawn(program, args, { ...where, stdio: ['ignore', 'pipe', 'pipe'] });
  const ended = new Promise<number | null>((resolve, reject) => {
    child.on('exit', resolve);
    child.on('error', reject);
  });
  const [code, stdout, stderr] = await Promise.all([ended, text(child.stdout), text(child.stderr)]);
  return { code, stdout, stderr };
}

/** `run`, which has to end with 0. */
export async function succeed(argv: readonly string[], where: Where): Promise<Outcome> {
  const outcome = await run(argv, where);
  if (outcome.code !== 0)
    throw new Error(`${argv.join(' ')} ended with ${outcome.code}\n${outcome.stdout}\n${outcome.stderr}`);
  return outcome;
}

/** Packs this checkout into `dir` and returns the archives by the beginning of their name. */
export async function pack(dir: string, ...flags: string[]): Promise<(start: string) => string> {
  await succeed([process.execPath, join(root, 'tools/pack.ts'), ...flags, dir], { cwd: root, env: process.env });
  return (start) => {
    const name = readdirSync(dir).find((file) => file.startsWith(start) && /^\d/.test(file.slice(start.length)));
    if (name === undefined) throw new Error(`no archive ${start}* in ${dir}`);
    return join(dir, name);
  };
}

/** A Node and an npm that people have. */
export interface Toolchain {
  readonly name: string;
  /** The only folder in PATH: `node`, `npm` and `npx`, no compiler, no shell, nothing else. */
  readonly path: string;
  readonly node: string;
}

/** A folder with our packages, a registry that serves those with a scope, and what people install them with. Disposing removes all of it. */
export class PackageLab implements AsyncDisposable {
  readonly dir: string;
  /** The archive of `tare`. */
  readonly tare: string;
  readonly #registry: AsyncDisposable;
  readonly #env: NodeJS.ProcessEnv;
  #folders = 0;

  private constructor(dir: string, tare: string, registry: { url: string } & AsyncDisposable) {
    this.dir = dir;
    this.tare = tare;
    this.#registry = registry;
    const config = join(dir, 'npmrc');
    const users = spawnSync('cat', [join(homedir(), '.npmrc')], { encoding: 'utf8' }).stdout;
    writeFileSync(config, `${users}\n@tare:registry=${registry.url}\naudit=false\nfund=false\nupdate-notifier=false\n`);
    const kept = Object.entries(process.env).filter(([name]) =>
      /^(HOME|NODE_EXTRA_CA_CERTS|https?_proxy|npm_config_registry)$/i.test(name),
    );
    this.#env = {
      ...Object.fromEntries(kept),
      NPM_CONFIG_USERCONFIG: config,
      npm_config_prefer_offline: 'true',
      // The machine's network stays as it is.
      TARE_DEFAULT_NETWORK: 'none',
    };
  }

  static async open(): Promise<PackageLab> {
    const dir = realpathSync(mkdtempSync(join(tmpdir(), 'tare-package-')));
    const packages = join(dir, 'packages');
    const archive = await pack(packages, '--node', '--arch', process.arch);
    const names = [`tare-linux-${process.arch}-`, `tare-node-linux-${process.arch}-`];
    return new PackageLab(dir, archive('tare-'), await startRegistry(names.map(archive)));
  }

  /** An empty folder. */
  folder(): string {
    const dir = join(this.dir, `folder-${this.#folders++}`);
    mkdirSync(dir);
    return dir;
  }

  /** The Node and npm of this machine, whichever they are. */
  system(): Toolchain {
    return this.#toolchain(
      'system',
      realpathSync(join(dirname(npmProgram), 'node')),
      dirname(realpathSync(npmProgram)),
    );
  }

  /** Node and npm of these versions, from the registry. */
  async fetched(node: string, npm: string): Promise<Toolchain> {
    const dir = this.folder();
    const name = `node-linux-${process.arch}`;
    const flags = ['--prefix', dir, '--no-save', '--loglevel=error', '--engine-strict=false'];
    await succeed([npmProgram, 'install', ...flags, `${name}@${node}`, `npm@${npm}`], {
      cwd: dir,
      env: { ...this.#env, PATH: process.env['PATH'] },
    });
    return this.#toolchain(
      `node-${node}`,
      join(dir, 'node_modules', name, 'bin/node'),
      join(dir, 'node_modules/npm/bin'),
    );
  }

  #toolchain(name: string, node: string, npmBin: string): Toolchain {
    const path = join(this.folder(), name);
    mkdirSync(path);
    symlinkSync(node, join(path, 'node'));
    for (const program of ['npm', 'npx']) symlinkSync(join(npmBin, `${program}-cli.js`), join(path, program));
    return { name, path, node };
  }

  /** Where a toolchain's programs run: its PATH, npm's configuration, Tare's places below this lab. */
  where(tools: Toolchain, cwd: string): Where {
    const places = Object.fromEntries(
      ['ROOT', 'RUNROOT', 'STORAGE_ROOT', 'STORAGE_RUNROOT'].map((name) => [
        `TARE_${name}`,
        join(this.dir, 'state', name.toLowerCase()),
      ]),
    );
    return { cwd, env: { ...this.#env, ...places, PATH: tools.path } };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#registry[Symbol.asyncDispose]();
    unmountBelow(this.dir);
    rmSync(this.dir, { recursive: true, force: true });
  }
}

/** The version in this checkout's package.json. */
export const version = (JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { version: string }).version;
