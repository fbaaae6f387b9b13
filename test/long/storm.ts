/** All verbs at once, some of them killed -9 in the middle, eight at a time; then what is left has to tell the truth. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { ChildProcess } from 'node:child_process';
import type { TestContext } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { readExit, readLifeState } from '../../src/runtime/state.ts';
import { isAlive, outcome, type Outcome } from '../engine/lab.ts';
import { busyboxEntries } from '../support/busybox.ts';
import { blobsOf, buildImage, writeLayout } from '../support/image.ts';
import { random } from '../support/random.ts';
import { tarOf } from '../support/tar.ts';
import { CODE_LABEL, commands, harmless, IMAGE, kept, KEPT_LABEL, type Pick } from './storm-commands.ts';

/** Where it rages: root's lab, or a user's. */
export interface StormPlace {
  /** Starts `tare WORDS` in one process, whose end is the command's. */
  startTare(words: readonly string[]): ChildProcess;
  tare(...words: string[]): Promise<Outcome>;
  /** Directory of a container. */
  at(id: string): string;
  /** Where commands read and write files. */
  readonly files: string;
  /** Called when the files are there. */
  readonly share?: () => void;
  /** Another misfortune than a command's end. */
  readonly accident?: () => void;
  /** What is there although every container was removed. */
  leftovers(): Promise<readonly string[]>;
}

const AT_A_TIME = 8;
/** n0, n1 ...: no beginning of an id. */
const NAMES = 12;
/** The part of the commands that is about those that nobody stops. */
const FOR_KEPT = 0.2;
const ACCIDENTS = 0.01;

interface Listed {
  readonly Id: string;
  readonly Names: readonly string[];
  readonly State: string;
  readonly Pid: number;
  readonly ExitCode: number;
  readonly Labels: Readonly<Record<string, string>>;
}

interface Inspected {
  readonly RestartCount: number;
  readonly State: { readonly Status: string; readonly ExitCode: number };
}

/** `count` commands. `seed` repeats the choices of another storm, not its moments. */
export async function storm(t: TestContext, place: StormPlace, { count, seed }: { count: number; seed: number }) {
  t.diagnostic(`seed ${seed}, ${commands.length} kinds of commands`);
  await addImage(place);
  for (const { name, flags, script } of kept)
    await ok(place, 'run', '-d', '--name', name, '--label', KEPT_LABEL, ...flags, IMAGE, 'sh', '-c', script);
  const began = performance.now();
  const { killed, results, codes } = await rage(place, count, seed);
  t.diagnostic(`${killed} were killed in ${((performance.now() - began) / 1000).toFixed(1)} s; ${describe(results)}`);
  assert.ok(killed > count / 10, `only ${killed} were killed`);

  const listed = await list(place);
  assert.deepEqual((await list(place)).map(({ Id }) => Id).sort(), listed.map(({ Id }) => Id).sort());
  for (const container of listed) await isTrue(place, container);
  await checkEnds(place, codes);
  for (const container of kept) await checkKept(place, container);

  const fresh = await place.tare('run', '--rm', IMAGE, 'sh', '-c', 'echo works; exit 5');
  assert.deepEqual([fresh.code, fresh.stdout], [5, 'works\n'], fresh.stderr);
  const images = (await ok(place, 'images', '-q', '--no-trunc')).split('\n');
  for (const id of new Set(images)) await ok(place, 'image', 'inspect', id);
  assert.match(await ok(place, 'images', '--format', '{{.Repository}}'), /^localhost\/storm$/m);

  for (const { Id } of await list(place)) await ok(place, 'rm', '-f', '-t', '0', Id);
  for (const id of (await ok(place, 'pod', 'ps', '-q', '--no-trunc')).split('\n').filter(Boolean))
    await ok(place, 'pod', 'rm', '-f', '-t', '0', id);
  assert.equal(await ok(place, 'pod', 'ps', '-q'), '');
  await ok(place, 'network', 'prune', '-f');
  assert.equal(await ok(place, 'network', 'ls', '-q'), 'bridge');
  assert.deepEqual(await list(place), []);
  // Whatever is left of volumes nobody uses.
  await ok(place, 'volume', 'prune', '-af');
  assert.equal(await ok(place, 'volume', 'ls', '-q'), '');
  assert.deepEqual(await place.leftovers(), []);
}

/** Runs the commands. `codes`: of the detached containers that were started for sure, what each must end with. */
async function rage(place: StormPlace, count: number, seed: number) {
  const dice = random(seed);
  const pick: Pick = (items) => items[Math.floor(dice() * items.length)] as (typeof items)[number];
  const results = new Map<string, number>();
  const codes = new Map<string, number>();
  let killed = 0;
  let begun = 0;
  /** What a command takes here and now. */
  let usualMs = 150;
  const worker = async (): Promise<void> => {
    while (begun++ < count) {
      const words =
        dice() < FOR_KEPT
          ? pick(harmless)(pick(kept).name, pick, place.files)
          : pick(commands)(`n${Math.floor(dice() * NAMES)}`, pick, place.files);
      const afterMs = dice() < 0.5 ? dice() * usualMs * 1.5 : undefined;
      if (dice() < ACCIDENTS) place.accident?.();
      const started = performance.now();
      const child = place.startTare(words);
      const ended = outcome(child);
      if (afterMs !== undefined) {
        await Promise.race([sleep(afterMs), once(child, 'exit')]);
        if (child.exitCode === null && child.kill('SIGKILL')) killed++;
      }
      const { code, stdout, stderr } = await ended;
      if (code === null) {
        const ms = performance.now() - started;
        assert.ok(afterMs !== undefined, `${words.join(' ')} hung and was killed after ${ms} ms: ${stderr}`);
        continue;
      }
      usualMs += (performance.now() - started - usualMs) / 20;
      const verb = words[0] ?? '';
      results.set(`${verb} ${code}`, (results.get(`${verb} ${code}`) ?? 0) + 1);
      check(words, code, stderr);
      const own = ownCode(words);
      if (own === undefined) continue;
      if (words.includes('-d')) codes.set(stdout.trim(), own);
      else assert.equal(code, own, `${words.join(' ')}: ${stderr}`);
    }
  };
  await Promise.all(Array.from({ length: AT_A_TIME }, worker));
  return { killed, results, codes };
}

/** Nobody was promised a clear road, but whoever fails says why in one line. */
function check(words: readonly string[], code: number, stderr: string): void {
  const line = words.join(' ');
  assert.doesNotMatch(stderr, /\n {4}at |internal|undefined|\bE[A-Z]{4,}\b.*node:/, line);
  const own = ownCode(words);
  if (own !== undefined && (code === own || words.includes('-d'))) return assert.doesNotMatch(stderr, /^Error/m, line);
  const quiet = words[0] === 'exec' || words[1] === 'exists';
  if (code !== 0 && !quiet) assert.match(stderr, /^(?:Warning: .*\n)*Error: [^\n]+\n$/, `${line}: ${code}`);
}

/** The code that the container of this command ends with, where nobody can interfere. */
function ownCode(words: readonly string[]): number | undefined {
  const label = words.find((word) => word.startsWith(`${CODE_LABEL}=`));
  return label === undefined ? undefined : Number(label.slice(CODE_LABEL.length + 1));
}

async function list(place: StormPlace): Promise<Listed[]> {
  return JSON.parse(await ok(place, 'ps', '-a', '--no-trunc', '--format', 'json')) as Listed[];
}

/** What is said of a container is so. */
async function isTrue(place: StormPlace, { Id: id, State: state, Pid: pid, ExitCode: code, Labels: labels }: Listed) {
  if (state === 'exited') {
    assert.equal(readExit(place.at(id))?.code, code, `the exit record of ${id}`);
    assert.equal(await ok(place, 'wait', id), String(code));
    const own = labels[CODE_LABEL];
    if (own !== undefined) assert.equal(code, Number(own), `${id} has lost its exit code`);
  } else if (['running', 'initialized', 'paused'].includes(state)) {
    // It may have ended this moment; then that is what it says now.
    if (readLifeState(place.at(id))?.held === true && isAlive(pid)) return;
    const now = (await list(place)).find((container) => container.Id === id);
    assert.ok(now === undefined || now.State !== state || now.Pid !== pid, `${id} is said to be ${state}`);
  } else assert.ok(['created', 'restarting'].includes(state), `${id} is ${state}`);
}

/** Every end was told once, with the right code, also of those that are gone. */
async function checkEnds(place: StormPlace, codes: ReadonlyMap<string, number>): Promise<void> {
  const told = new Map<string, number[]>();
  const ends = (): Promise<string> =>
    ok(place, 'events', '--since', '1h', '--stream=false', '--filter', 'event=die', '--no-trunc', '--format', 'json');
  // The last may not have ended.
  for (let attempt = 0; attempt < 100; attempt++) {
    told.clear();
    for (const line of (await ends()).split('\n').filter(Boolean)) {
      const event = JSON.parse(line) as { ID: string; ContainerExitCode: number };
      told.set(event.ID, [...(told.get(event.ID) ?? []), event.ContainerExitCode]);
    }
    if (codes.keys().every((id) => told.has(id))) break;
    await sleep(100);
  }
  for (const [id, code] of codes) assert.deepEqual(told.get(id), [code], `the end of ${id}`);
}

/** Its policy was honoured exactly: it ran as often as it says, and its runs are in its log. */
async function checkKept(place: StormPlace, { name, state, code, runs }: (typeof kept)[number]): Promise<void> {
  const inspect = async (): Promise<Inspected> => {
    const [found] = JSON.parse(await ok(place, 'inspect', '--format', 'json', name)) as [Inspected];
    return found;
  };
  let seen = await inspect();
  const isThere = (): boolean =>
    state === 'exited' ? seen.State.Status === state : /^(running|restarting)$/.test(seen.State.Status);
  for (let attempt = 0; attempt < 100 && !isThere(); attempt++) {
    await sleep(100);
    seen = await inspect();
  }
  assert.ok(isThere(), `${name} is ${seen.State.Status}`);
  if (code !== undefined) assert.equal(seen.State.ExitCode, code, name);
  for (let attempt = 0; ; attempt++) {
    const before = (await inspect()).RestartCount;
    const log = (await ok(place, 'logs', name)).split('\n');
    // One more may have begun in between.
    if ((await inspect()).RestartCount !== before && attempt < 100) continue;
    assert.deepEqual(new Set(log), new Set(['run']), name);
    const waits = state === 'running' && (await inspect()).State.Status === 'restarting' ? 1 : 0;
    assert.ok([before + 1, before + 1 - waits].includes(log.length), `${name}: ${log.length} runs, ${before} restarts`);
    if (runs === undefined) assert.ok(log.length > 1, `${name} ran ${log.length} times`);
    else assert.equal(log.length, runs, name);
    return;
  }
}

async function ok(place: StormPlace, ...words: string[]): Promise<string> {
  const { code, stdout, stderr } = await place.tare(...words);
  assert.equal(code, 0, `${words.join(' ')}: ${code}: ${stderr}`);
  return stdout.trimEnd();
}

const describe = (results: ReadonlyMap<string, number>): string =>
  [...results]
    .toSorted()
    .map(([what, times]) => `${what}: ${times}`)
    .join(', ');

/** An image of busybox, and the files that commands take. */
async function addImage(place: StormPlace): Promise<void> {
  const image = buildImage({
    layers: [
      tarOf([
        ...busyboxEntries('sh', 'sleep', 'echo', 'cat', 'true'),
        { name: 'etc/passwd', content: 'root:x:0:0:root:/:/bin/sh\n' },
        { name: 'tmp/', type: 'directory', mode: 0o1777 },
      ]),
    ],
  });
  mkdirSync(place.files, { recursive: true });
  writeFileSync(join(place.files, 'file'), 'content\n');
  writeLayout(join(place.files, 'layout'), blobsOf(image), { storm: image.manifest });
  place.share?.();
  const id = await ok(place, 'pull', '-q', `oci:${join(place.files, 'layout')}:storm`);
  await ok(place, 'tag', id, IMAGE);
}
