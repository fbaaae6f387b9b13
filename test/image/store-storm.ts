/** kill -9 of whatever works on an image store, with podman at work on the same store all the time. */
import assert from 'node:assert/strict';
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import type { TestContext } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { gunzipSync } from 'node:zlib';
import { randomizer } from '../../src/archive/_tar.suite.ts';
import { checkWhole } from '../../src/storage/_whole.suite.ts';
import { Store } from '../../src/storage/mod.ts';
import { Lab } from '../engine/lab.ts';
import { blobsOf, buildImage, writeLayout } from '../support/image.ts';
import { buildBusybox } from '../support/images.ts';
import { tarOf } from '../support/tar.ts';
import { podmanRun } from './peer.ts';

/** What is killed: `tare pull`, programs that commit images and containers over and over, `tare rmi`. */
export type Victim = 'pull' | 'commit' | 'rmi';

const VARIANTS = 4;
const AT_A_TIME = 3;
const crasher = join(import.meta.dirname, '../../src/storage/_crash.suite.ts');

/** What a command on the store may answer when others change it meanwhile; anything else is a failure. */
const documented = /image not known|no such image|Cannot find image|there is no image|in use|is being used/i;

/**
 * Podman 4.3 reads the images and then looks their layers up, without a lock over both: beside a removal `images -a` may fail, also when nobody but podman
 * is at the store (2 of 255 times beside a loop of podman pull and rmi). Once nothing is being removed, it must list.
 */
const listRace = /retrieving parent of image .*layer not known/;

interface Ended {
  readonly code: number | null;
  readonly stderr: string;
  readonly what: string;
}

/** A store with one image that stays, a layout of variants that come and go, and podman beside. */
export class Storm implements AsyncDisposable {
  readonly lab = new Lab();
  readonly layout: string;
  readonly steady = 'localhost/steady:1';

  private constructor() {
    this.layout = join(this.lab.dir, 'layout');
    const base = gunzipSync(buildBusybox().layers[0]?.bytes ?? assert.fail());
    const files = (name: string, count: number): Buffer =>
      tarOf(Array.from({ length: count }, (_, i) => ({ name: `${name}/${i}`, content: `${name} ${i}`.repeat(200) })));
    const built = Array.from({ length: VARIANTS }, (_, i) =>
      buildImage({ layers: [base, files('common', 100), files(`own${i}`, 200)], config: { Cmd: ['true'] } }),
    );
    const steady = buildImage({ layers: [base], config: { Cmd: ['true'], Env: ['PATH=/bin'] } });
    const names = Object.fromEntries(built.map((image, i) => [`v${i}`, image.manifest]));
    writeLayout(this.layout, [...built, steady].flatMap(blobsOf), { ...names, steady: steady.manifest });
  }

  static async open(): Promise<Storm> {
    const storm = new Storm();
    const pulled = await storm.lab.tare('pull', '-q', `oci:${storm.layout}:steady`);
    assert.equal(pulled.code, 0, pulled.stderr);
    const store = await storm.store();
    await store.tag('localhost/steady:latest', storm.steady);
    return storm;
  }

  store(): Promise<Store> {
    const { storageRoot: graphRoot, storageRunRoot: runRoot } = this.lab.options;
    return Store.open({ graphRoot, runRoot });
  }

  /** Starts podman on the store. */
  podman(...args: string[]): ChildProcess {
    const { storageRoot, storageRunRoot } = this.lab.options;
    const places = ['--root', storageRoot, '--runroot', storageRunRoot, '--tmpdir', join(this.lab.dir, 'podman')];
    const kinds = ['--storage-driver', 'overlay', '--cgroup-manager', 'cgroupfs', '--events-backend', 'none'];
    return spawn('podman', [...places, ...kinds, '--runtime', 'runc', ...args], {
      stdio: ['ignore', 'pipe', 'pipe'],
      timeout: 60_000,
      killSignal: 'SIGKILL',
    });
  }

  /** Runs podman to its end; it succeeds, or says something that others' work explains. */
  async podmanDoes(...args: string[]): Promise<void> {
    await this.#ended(this.podman(...args), `podman ${args.join(' ')}`);
  }

  async tareDoes(...args: string[]): Promise<void> {
    await this.#ended(this.lab.startTare(args), `tare ${args.join(' ')}`);
  }

  async #ended(child: ChildProcess, what: string, alsoKnown?: RegExp): Promise<void> {
    const { code, stderr } = await ended(child, what);
    const explained = documented.test(stderr) || alsoKnown?.test(stderr) === true;
    assert.ok(code === 0 || explained, `${what}: exit code ${code}: ${stderr}`);
  }

  /** One of the things people do with podman, from beginning to end. */
  async podmanWorks(round: number, dice: (n: number) => number): Promise<void> {
    switch (dice(5)) {
      case 0:
        return this.#ended(this.podman('images', '-a'), 'podman images -a', listRace);
      case 1:
        await this.podmanDoes('create', '--name', `p${round}`, '--network', 'none', this.steady, 'true');
        return this.podmanDoes('rm', `p${round}`);
      case 2:
        await this.podmanDoes('tag', this.steady, `localhost/tag:${round}`);
        return this.podmanDoes('rmi', `localhost/tag:${round}`);
      case 3:
        return this.podmanDoes('rmi', `localhost/v${dice(VARIANTS)}:latest`);
      default:
        return this.podmanDoes('image', 'inspect', this.steady);
    }
  }

  /** Both list, the steady image is what it was, and after this command of ours nothing is left of the dead. */
  async check(): Promise<void> {
    const listed = await ended(this.podman('images', '-aq'), 'podman images');
    assert.equal(listed.code, 0, listed.stderr);
    const ours = await this.lab.tare('images');
    assert.equal(ours.code, 0, ours.stderr);
    const store = await this.store();
    assert.ok(store.image(this.steady), 'the steady image is there');
    checkWhole(store.graphRoot, store);
  }

  /** At the end: the images run with both, and all of them can go. */
  async finish(): Promise<void> {
    assert.equal(podmanRun(this.lab, this.steady, 'echo', 'podman runs'), 'podman runs\n');
    const ran = await this.lab.tare('run', '--rm', this.steady, 'echo', 'tare runs');
    assert.deepEqual([ran.code, ran.stdout], [0, 'tare runs\n'], ran.stderr);
    const store = await this.store();
    // Complete containers of those who were killed.
    for (const { id } of store.containers()) await store.removeContainer(id);
    for (const { id } of store.images()) await store.removeImage(id, { force: true });
    assert.deepEqual([store.layers(), store.images(), store.containers()], [[], [], []]);
    checkWhole(store.graphRoot, store);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.lab[Symbol.asyncDispose]();
  }
}

async function ended(child: ChildProcess, what: string): Promise<Ended> {
  child.stdout?.resume();
  const stderr = child.stderr === null ? '' : text(child.stderr);
  const [code] =
    child.exitCode === null && child.signalCode === null
      ? ((await once(child, 'exit')) as [number | null])
      : [child.exitCode];
  return { code, stderr: await stderr, what };
}

/** Kills `rounds` times what is at work, several at once, at random moments; `seed` repeats them. */
export async function storm(t: TestContext, victim: Victim, rounds: number, seed: number): Promise<void> {
  t.diagnostic(`seed ${seed}, ${rounds} rounds`);
  const dice = randomizer(seed);
  await using scene = await Storm.open();
  let workMs = await undisturbedMs(scene, victim, dice);
  let hits = 0;
  // A machine that is busy at first makes the work look long, and kills come late: so many more rounds at most.
  for (let round = 0; round < 3 * rounds; round++) {
    if (round >= rounds && hits >= rounds / 2) break;
    const before = hits;
    const children = await start(scene, victim, dice);
    const beside = scene.podmanWorks(round, dice);
    const killing = children.map(async (child) => {
      const exited = once(child, 'exit');
      await sleep(dice(workMs));
      if (child.exitCode === null && child.signalCode === null) {
        child.kill('SIGKILL');
        hits++;
        await exited;
      }
    });
    await Promise.all([beside, ...killing]);
    if (hits === before) workMs = Math.max(1, Math.ceil(workMs * 0.7));
    await scene.check();
  }
  t.diagnostic(`${hits} kills hit something alive`);
  assert.ok(hits >= rounds / 2, `only ${hits} hits`);
  await scene.finish();
}

/** Of one that commits without an end. */
const COMMITS_MS = 150;

/** How long its work takes: a later kill would find nobody. */
async function undisturbedMs(scene: Storm, victim: Victim, dice: (n: number) => number): Promise<number> {
  if (victim === 'commit') return COMMITS_MS;
  const began = performance.now();
  const children = await start(scene, victim, dice);
  await Promise.all(children.map((child) => ended(child, victim)));
  return Math.ceil(performance.now() - began);
}

async function start(scene: Storm, victim: Victim, dice: (n: number) => number): Promise<ChildProcess[]> {
  const variants = Array.from({ length: AT_A_TIME }, () => dice(VARIANTS));
  const { storageRoot, storageRunRoot } = scene.lab.options;
  if (victim === 'commit') {
    return Promise.all(
      variants.map(async () => {
        const child = spawn(process.execPath, [crasher, storageRoot, storageRunRoot, String(1 + dice(1e6))], {
          stdio: ['ignore', 'pipe', 'inherit'],
        });
        await once(child.stdout, 'data');
        return child;
      }),
    );
  }
  if (victim === 'rmi') {
    for (const variant of new Set(variants))
      assert.equal((await scene.lab.tare('pull', '-q', `oci:${scene.layout}:v${variant}`)).code, 0);
  }
  return variants.map((variant) => {
    const args =
      victim === 'rmi' ? ['rmi', `localhost/v${variant}:latest`] : ['pull', '-q', `oci:${scene.layout}:v${variant}`];
    const child = scene.lab.startTare(args);
    child.stdout?.resume();
    child.stderr?.resume();
    return child;
  });
}
