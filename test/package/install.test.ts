import assert from 'node:assert/strict';
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { examplesOf } from '../../tools/check-docs.ts';
import { needs } from '../support/needs.ts';
import { needsNpm, PackageLab, root, run, succeed, type Toolchain, version } from './lab.ts';

const skip = needs.root() || needsNpm;
/** `rm`, `sh` and so on are no part of PATH: what needs them names them. */
const bin = (folder: string): string => join(folder, 'node_modules/.bin/tare');
/** Files below a folder but npm's own notes: it leaves empty folders of scopes. */
const filesOf = (folder: string): string[] =>
  existsSync(folder)
    ? readdirSync(folder, { recursive: true, withFileTypes: true })
        .filter((entry) => !entry.isDirectory() && entry.name !== '.package-lock.json')
        .map((entry) => join(entry.parentPath, entry.name))
    : [];

describe('the packages, installed in an empty folder without a compiler', { skip }, () => {
  let lab: PackageLab;
  let node24: Toolchain;
  /** With npm 12. */
  let project: string;

  before(async () => {
    lab = await PackageLab.open();
    node24 = await lab.fetched('24.22.3', '12.2.2');
    project = lab.folder();
    await succeed(['npm', 'install', lab.tare], lab.where(node24, project));
  });
  after(() => lab[Symbol.asyncDispose]());

  it('with the Node and npm of this machine: the command runs, in its own Node', async () => {
    const system = lab.system();
    const folder = lab.folder();
    const where = lab.where(system, folder);
    const install = await succeed(['npm', 'install', lab.tare], where);
    assert.doesNotMatch(install.stderr, /deprecated|script/);
    // `npm run` of the project that depends on us must find the project's Node.
    assert.deepEqual(readdirSync(join(folder, 'node_modules/.bin')), ['tare']);
    const told = await succeed([bin(folder), 'version', '--format', 'json'], where);
    assert.match(told.stdout, new RegExp(`"${version.replaceAll('.', '\\.')}"`));
    assert.match(told.stdout, /"v26\./);
    const hello = await succeed([bin(folder), 'run', '--rm', 'host:', 'sh', '-c', 'echo hello'], where);
    assert.deepEqual(hello, { code: 0, stdout: 'hello\n', stderr: '' });
    assert.equal((await run([bin(folder), 'run', '--rm', 'host:', 'sh', '-c', 'exit 7'], where)).code, 7);

    await succeed(['npm', 'uninstall', 'tare'], where);
    assert.deepEqual(filesOf(join(folder, 'node_modules')), []);
  });

  it('a Node that is too old for the library is told so', async (t) => {
    const system = lab.system();
    const where = lab.where(system, project);
    const { stdout } = await succeed(['node', '-p', 'process.versions.node'], where);
    if (Number(stdout.split('.')[0]) >= 24) return t.skip('cannot here: the Node of this machine is not older than 24');
    for (const code of [
      `import('tare').catch(e => { console.error(e.message); process.exit(3) })`,
      `import('tare/registry').catch(e => { console.error(e.message); process.exit(3) })`,
    ]) {
      const outcome = await run(['node', '-e', code], where);
      assert.equal(outcome.code, 3);
      assert.equal(
        outcome.stderr,
        `Cannot load tare: the library needs Node 24 or newer, this is Node ${stdout.trim()}; install a newer Node (the command 'tare' brings its own)\n`,
      );
    }
    // The command does not mind.
    await succeed([bin(project), 'version'], where);
  });

  it("Node 24 runs the README's example", async () => {
    const readme = readFileSync(join(root, 'README.md'), 'utf8');
    const [example] = examplesOf('README.md', readme);
    assert.ok(example !== undefined);
    writeFileSync(join(project, 'example.mts'), example.code);
    // The example uses the standard places and the default network: they are empty ones, in namespaces of its own.
    const places = '/var/lib/tare /run/tare /var/lib/containers /run/containers';
    const script = `set -e; for dir in ${places}; do mkdir -p "$dir"; mount -t tmpfs tmpfs "$dir"; done; PATH=$1 exec node example.mts`;
    const outcome = await succeed(
      ['/usr/bin/unshare', '--mount', '--net', '--propagation', 'private', '/bin/sh', '-c', script, 'sh', node24.path],
      { cwd: project, env: { PATH: '/usr/sbin:/usr/bin:/sbin:/bin' } },
    );
    assert.match(outcome.stdout, /^hello from ./);
    assert.equal(outcome.stderr, '');
  });

  it('every sub-path can be imported and required, and all share one TareError', async () => {
    const subPaths = Object.keys(
      (JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { exports: object }).exports,
    ).filter((path) => path !== './package.json');
    writeFileSync(
      join(project, 'all.mjs'),
      `import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import { TareError, open } from 'tare';
import { TareError as base } from 'tare/base';
import { fstat } from 'tare/sys';
const require = createRequire(import.meta.url);
assert.equal(TareError, base);
assert.equal(require('tare').open, open);
fstat(0);
for (const path of ${JSON.stringify(subPaths)}) {
  const name = path.replace('.', 'tare');
  const module = await import(name);
  assert.ok(Object.keys(module).length > 0, name);
  for (const [key, value] of Object.entries(module)) assert.ok(value !== undefined, name + ' ' + key);
}
`,
    );
    assert.deepEqual(await succeed(['node', 'all.mjs'], lab.where(node24, project)), {
      code: 0,
      stdout: '',
      stderr: '',
    });
  });

  it('its types are complete', async () => {
    writeFileSync(
      join(project, 'types.mts'),
      `import { open, type Container } from 'tare';
import { parseReference } from 'tare/spec';
export const start = async (): Promise<Container> => (await open()).run('host:', ['true']);
// @ts-expect-error a program is a list of words
export const wrong = async () => (await open()).run('host:', 'true');
export const reference: string = parseReference('busybox').toString();
`,
    );
    const config = {
      compilerOptions: {
        target: 'es2024',
        lib: ['es2024', 'esnext.disposable', 'esnext.iterator', 'esnext.collection'],
        module: 'nodenext',
        strict: true,
        noEmit: true,
        types: ['node'],
        typeRoots: [join(root, 'node_modules/@types')],
      },
      files: ['types.mts'],
    };
    writeFileSync(join(project, 'tsconfig.json'), JSON.stringify(config));
    await succeed([process.execPath, join(root, 'node_modules/typescript/bin/tsc'), '-p', project], {
      cwd: project,
      env: process.env,
    });
  });

  it('globally, and through symbolic links: the command finds its parts; nothing is left of it', async () => {
    const prefix = lab.folder();
    const where = lab.where(node24, prefix);
    await succeed(['npm', 'install', '--global', '--prefix', prefix, lab.tare], where);
    assert.deepEqual(readdirSync(join(prefix, 'bin')), ['tare']);
    symlinkSync(join(prefix, 'bin/tare'), join(prefix, 'elsewhere'));
    symlinkSync('elsewhere', join(prefix, 'twice'));
    // The last is the link that docs/how-to/install.md recommends.
    const program = `lib/node_modules/tare/node_modules/@tare/linux-${process.arch}/bin/tare`;
    symlinkSync(join(prefix, program), join(prefix, 'program'));
    for (const path of ['bin/tare', 'elsewhere', 'twice', 'lib/node_modules/tare/bin/tare', 'program'])
      assert.match(
        (await succeed([join(prefix, path), '--version'], where)).stdout,
        new RegExp(`^tare version ${version}`),
      );
    // As a shell finds it: by name in PATH, from another folder.
    const found = await succeed(['/bin/sh', '-c', 'tare --version'], { cwd: '/', env: { PATH: join(prefix, 'bin') } });
    assert.match(found.stdout, /^tare version/);
    await succeed(['npm', 'uninstall', '--global', '--prefix', prefix, 'tare'], where);
    for (const left of ['bin', 'lib']) assert.deepEqual(filesOf(join(prefix, left)), []);
  });

  it('npx runs it', async () => {
    const where = lab.where(node24, lab.folder());
    const cache = lab.folder();
    const env = { ...where.env, npm_config_cache: cache, PATH: `${node24.path}:/bin` };
    const told = await succeed(['npx', '--yes', `--package=${lab.tare}`, 'tare', '--version'], { ...where, env });
    assert.match(told.stdout, new RegExp(`^tare version ${version}`));
  });

  it('starts where libatomic is not installed, which Node needs and a C compiler brings', async () => {
    const triplet = process.arch === 'x64' ? 'x86_64-linux-gnu' : 'aarch64-linux-gnu';
    // In a mount namespace, with white-outs over the library; then Node by itself, the command, and a program in a container.
    const script = `set -e
dir=/usr/lib/${triplet}
mount -t tmpfs tmpfs "$1"
mkdir "$1/upper" "$1/work"
for file in "$dir"/libatomic.so.1*; do mknod "$1/upper/\${file##*/}" c 0 0; done
mount -t overlay -o "lowerdir=$dir,upperdir=$1/upper,workdir=$1/work" overlay "$dir"
"$2" --version && exit 9
"$3" version
LD_LIBRARY_PATH=/mine "$3" run --rm host: /bin/sh -c 'echo "library path <$LD_LIBRARY_PATH>"'`;
    const inner = ['/bin/sh', '-c', script, 'sh', lab.folder(), process.execPath, bin(project)];
    const where = lab.where(node24, '/');
    const outcome = await run(['/usr/bin/unshare', '--mount', '--propagation', 'private', ...inner], {
      ...where,
      env: { ...where.env, PATH: '/usr/sbin:/usr/bin:/sbin:/bin' },
    });
    assert.equal(outcome.code, 0, outcome.stderr);
    assert.match(outcome.stderr, /libatomic\.so\.1: cannot open shared object file/);
    assert.match(outcome.stdout, /Node: v26/);
    assert.match(outcome.stdout, /^library path <>$/m);
  });

  it('an unprivileged user runs what root installed', { skip: needs.program('setpriv') }, async () => {
    const home = lab.folder();
    for (const path of [lab.dir, home]) chmodSync(path, 0o755);
    const runDir = join(home, 'run');
    mkdirSync(runDir, { mode: 0o700 });
    for (const path of [home, runDir]) chownSync(path, 65534, 65534);
    const user = ['/usr/bin/setpriv', '--reuid=65534', '--regid=65534', '--clear-groups'];
    const where = { cwd: '/', env: { PATH: '/usr/bin:/bin', HOME: home, XDG_RUNTIME_DIR: runDir } };
    const told = await succeed([...user, bin(project), 'run', '--rm', 'host:', 'id', '-u'], where);
    assert.equal(told.stdout, '0\n');
  });

  it('without the package for this machine, command and library say what is missing', async () => {
    const folder = lab.folder();
    const where = lab.where(node24, folder);
    await succeed(['npm', 'install', '--omit=optional', lab.tare], where);
    const command = await run([bin(folder), 'ps'], where);
    assert.equal(command.code, 125);
    assert.match(
      command.stderr,
      /^tare: Cannot start: the package @tare\/linux-x64 or @tare\/linux-arm64 is not installed; install tare again, without --omit=optional/,
    );
    const code = `import('tare').then(t => t.open()).catch(e => console.error(e.kind, e.message))`;
    const library = await run(['node', '-e', code], where);
    assert.match(
      library.stderr,
      /^not-found Cannot load the native parts of tare: the package @tare\/linux-\w+ is not installed; /,
    );
  });
});
