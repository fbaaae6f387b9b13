/**
 * All verbs at once, some of them killed -9 in the middle, eight at a time, on a dozen containers and their image. TARE_ROUNDS: a tenth of the number of commands, 100 unless set.
 * TARE_SEED: repeats the choices of another run, not its moments.
 */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { findVerb } from '../../src/cli/verbs.ts';
import { listContainers, reconcileAll, removeContainer } from '../../src/engine/mod.ts';
import { readExit, readLifeState } from '../../src/runtime/state.ts';
import { blobsOf, buildImage, writeLayout } from '../support/image.ts';
import { random } from '../support/random.ts';
import { type TarEntry, tarOf } from '../support/tar.ts';
import { canRun, isAlive, Lab, outcome } from '../engine/lab.ts';

const commands = Number(process.env['TARE_ROUNDS'] ?? 100) * 10;
const seed = Number(process.env['TARE_SEED'] ?? Date.now() % 1_000_000);
const AT_A_TIME = 8;
const NAMES = 12;

/** What the first process of a container does; it ends by itself with this code, or by what others do to it. */
const OWN_CODE = 7;
const shortLife = `sleep 0.1; exit ${OWN_CODE}`;
const longLife = 'trap "exit 0" TERM; while :; do sleep 0.05; done';

/** One command line for container `name`; `pick` chooses among several. */
type Command = (name: string, pick: <T>(items: readonly T[]) => T, dir: string) => string[];

const run: Command = (name, pick) => [
  'run',
  '-d',
  ...pick([[], ['--rm'], ['--stop-timeout', '1']]),
  ...(pick([0, 1, 2]) > 0 ? ['--name', name] : []),
  'localhost/storm',
  'sh',
  '-c',
  pick([shortLife, longLife]),
];

const all: readonly Command[] = [
  run,
  run,
  run,
  (name) => ['create', '--name', name, 'localhost/storm', 'sh', '-c', shortLife],
  (name) => ['init', name],
  (name) => ['init', name],
  () => ['init', '--all'],
  (name) => ['start', name],
  (name) => ['start', name],
  (name) => ['stop', '-t', '1', name],
  (name) => ['kill', name],
  (name) => ['restart', '-t', '1', name],
  (name) => ['pause', name],
  (name) => ['unpause', name],
  (name) => ['unpause', name],
  (name, pick) => ['rename', name, pick([`${name}-renamed`, 'c0', 'c1'])],
  (name) => ['rename', `${name}-renamed`, name],
  (name) => ['exec', name, 'sh', '-c', 'echo in; exit 3'],
  (name) => ['exec', '-d', name, 'sleep', '0.1'],
  (name) => ['update', '--pids-limit', '100', name],
  (name, pick) => ['update', '--restart', pick(['no', 'on-failure:1', 'always', 'unless-stopped']), name],
  (name) => ['top', name],
  () => ['stats', '--no-stream'],
  () => ['ps', '-a', '--format', 'json'],
  (name) => ['inspect', name],
  (name) => ['logs', name],
  (name) => ['diff', name],
  (name, _pick, dir) => ['cp', join(dir, 'file'), `${name}:/tmp/file`],
  (name, _pick, dir) => ['cp', `${name}:/etc/passwd`, join(dir, `passwd-${name}`)],
  (name, _pick, dir) => ['export', '-o', join(dir, `${name}.tar`), name],
  (name) => ['commit', name, `localhost/committed-${name}`],
  (name) => ['rmi', '-f', `localhost/committed-${name}`],
  (name) => ['tag', 'localhost/storm', `localhost/tagged-${name}`],
  (name) => ['untag', 'localhost/storm', `localhost/tagged-${name}`],
  () => ['images'],
  (name) => ['rm', '-f', '-t', '0', name],
  (name) => ['rm', '-f', '-t', '0', `${name}-renamed`],
  (name) => ['rm', name],
  () => ['container', 'prune', '-f'],
  () => ['events', '--since', '1m', '--stream=false'],
  () => ['system', 'df'],
];

/** What this build has. */
const known = all.filter((command) => {
  const words = command('c0', (items) => items[0] as never, '/');
  return findVerb(words) !== undefined;
});

test(
  `${commands} commands, ${AT_A_TIME} at a time, half of them killed: the rest tells the truth, and nothing is left`,
  { skip: canRun },
  async (t) => {
    t.diagnostic(`seed ${seed}, ${known.length} of ${all.length} commands`);
    const dice = random(seed);
    const pick = <T>(items: readonly T[]): T => items[Math.floor(dice() * items.length)] as T;
    await using lab = new Lab();
    await addImage(lab);
    const dir = join(lab.dir, 'files');
    mkdirSync(dir);
    writeFileSync(join(dir, 'file'), 'content\n');

    let killed = 0;
    let begun = 0;
    const results = new Map<string, number>();
    const worker = async (): Promise<void> => {
      while (begun++ < commands) {
        const words = pick(known)(`c${Math.floor(dice() * NAMES)}`, pick, dir);
        const afterMs = dice() < 0.5 ? dice() * 200 : undefined;
        const child = lab.startTare(words);
        const ended = outcome(child);
        if (afterMs !== undefined) {
          await Promise.race([sleep(afterMs), once(child, 'exit')]);
          if (child.exitCode === null && child.kill('SIGKILL')) killed++;
        }
        const { code, stderr } = await ended;
        if (code === null) continue;
        const verb = words[0] ?? '';
        results.set(`${verb} ${code}`, (results.get(`${verb} ${code}`) ?? 0) + 1);
        // Nobody asked for a clear road, but whoever fails says why.
        assert.doesNotMatch(stderr, /\n {4}at |internal|undefined|\bE[A-Z]{4,}\b.*node:/, words.join(' '));
        if (code !== 0 && verb !== 'exec') assert.match(stderr, /^(?:Warning: .*\n)*Error: /, words.join(' '));
      }
    };
    await Promise.all(Array.from({ length: AT_A_TIME }, worker));
    t.diagnostic(
      `${killed} were killed; ${[...results]
        .toSorted()
        .map(([what, count]) => `${what}: ${count}`)
        .join(', ')}`,
    );
    assert.ok(killed > commands / 10, `only ${killed} were killed`);

    await reconcileAll(lab.engine);
    const { code, stdout, stderr } = await lab.tare('ps', '-a', '-q', '--no-trunc');
    assert.equal(code, 0, stderr);
    const listed = new Map(listContainers(lab.engine).map((container) => [container.id, container]));
    assert.deepEqual(stdout.split('\n').filter(Boolean).toSorted(), [...listed.keys()].toSorted());
    for (const { id, state, pid, restartPolicy } of listed.values()) {
      if (['running', 'initialized', 'restarting'].includes(state)) {
        assert.equal(readLifeState(lab.at(id))?.held, true, id);
        // What starts again by itself may be another one by now.
        if (restartPolicy === undefined) assert.ok(pid !== undefined && isAlive(pid), `${id} is said to be ${state}`);
        // It may have ended this moment.
      } else if (state === 'exited') assert.notEqual(readExit(lab.at(id)), undefined, `${id} has an exit record`);
      else assert.ok(['created', 'paused'].includes(state), `${id} is ${state}`);
    }

    const fresh = await lab.tare('run', '--rm', 'localhost/storm', 'sh', '-c', 'echo works; exit 5');
    assert.deepEqual([fresh.code, fresh.stdout], [5, 'works\n'], fresh.stderr);
    for (const { id } of listContainers(lab.engine)) await removeContainer(lab.engine, id, { force: true });
    assert.deepEqual(await lab.leftovers(), []);
  },
);

/** An image of the lab's busybox. */
async function addImage(lab: Lab): Promise<void> {
  const applet = (name: string): TarEntry => ({ name: `bin/${name}`, type: 'symlink', link: 'busybox' });
  const image = buildImage({
    layers: [
      tarOf([
        { name: 'bin/busybox', mode: 0o755, content: readFileSync('/bin/busybox') },
        ...['sh', 'sleep', 'echo', 'cat'].map(applet),
        { name: 'etc/passwd', content: 'root:x:0:0:root:/:/bin/sh\n' },
        { name: 'tmp/', type: 'directory', mode: 0o1777 },
      ]),
    ],
  });
  const layout = join(lab.dir, 'layout');
  writeLayout(layout, blobsOf(image), { storm: image.manifest });
  const pulled = await lab.tare('pull', '-q', `oci:${layout}:storm`);
  assert.equal(pulled.code, 0, pulled.stderr);
  assert.equal((await lab.tare('tag', pulled.stdout.trim(), 'localhost/storm')).code, 0);
}
