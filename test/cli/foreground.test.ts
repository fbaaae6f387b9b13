import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import test from 'node:test';
import { onTerminal, type Step } from './pty.ts';

const relay = join(import.meta.dirname, 'relay.ts');
const needsAddon = existsSync(join(import.meta.dirname, '../../build/tare.node'))
  ? false
  : 'build/tare.node is missing: run npm run build';
const SIGHUP = 1;
const SIGTERM = 15;

/** Runs a command under `foreground` with pipes. */
async function piped(
  options: object,
  command: readonly string[],
  input?: string | ((child: ReturnType<typeof spawn>) => void),
): Promise<{ stdout: string; stderr: string }> {
  const child = spawn(process.execPath, [relay, JSON.stringify(options), ...command], {
    stdio: ['pipe', 'pipe', 'pipe'],
  });
  if (typeof input === 'string') child.stdin.end(input);
  else if (input !== undefined) input(child);
  const [stdout, stderr] = await Promise.all([text(child.stdout), text(child.stderr)]);
  return { stdout, stderr };
}

const typed = (options: object, command: readonly string[], ...steps: Step[]) =>
  onTerminal([process.execPath, relay, JSON.stringify(options), ...command], steps);

test('foreground: relays both outputs and the exit code', async () => {
  const { stdout, stderr } = await piped({}, ['sh', '-c', 'echo out; echo err >&2; exit 3']);
  assert.equal(stdout, 'out\n');
  assert.match(stderr, /err\n[^]*end: {"kind":"exited","code":3}/);
});

test('foreground: the end of our input ends theirs, and megabytes pass unchanged', async () => {
  const input = 'x'.repeat(3_000_000);
  const { stdout } = await piped({ stdin: true }, ['cat'], input);
  assert.equal(stdout.length, input.length);
});

test('foreground: a slow reader gets everything before the end', async () => {
  const child = spawn(process.execPath, [relay, '{}', 'sh', '-c', 'head -c 1000000 /dev/zero; echo done >&2'], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const stderr = text(child.stderr);
  await new Promise((resolve) => setTimeout(resolve, 400));
  let bytes = 0;
  for await (const chunk of child.stdout) bytes += (chunk as Buffer).length;
  assert.equal(bytes, 1_000_000);
  assert.match(await stderr, /"exited","code":0/);
});

test('foreground: forwards signals', async () => {
  for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP', 'SIGUSR1', 'SIGUSR2', 'SIGQUIT'] as const) {
    const script = `trap 'echo got ${signal}; exit 7' ${signal.slice(3)}; echo ready; while :; do sleep 0.05; done`;
    const { stdout, stderr } = await piped({}, ['sh', '-c', script], (child) =>
      child.stdout?.once('data', () => child.kill(signal)),
    );
    assert.match(stdout + stderr, new RegExp(`got ${signal}[^]*"code":7`), signal);
  }
});

test('foreground: says when nobody reads any more', async () => {
  const child = spawn(process.execPath, [relay, '{}', 'yes'], { stdio: ['ignore', 'pipe', 'pipe'] });
  child.stdout.once('data', () => child.stdout.destroy());
  assert.match(await text(child.stderr), /end: {"kind":"broken-pipe"}/);
});

test(
  'foreground: a terminal is raw while lent, has our size, follows ours, and is restored',
  { skip: needsAddon },
  async () => {
    const result = await typed(
      { stdin: true, terminal: true },
      ['sh', '-c', 'echo ready; head -c 3 | od -An -tx1; echo bye'],
      ['expect', '[31x97]'],
      ['expect', 'ready'],
      ['resize', 40, 100],
      ['expect', '[40x100]'],
      // ctrl-c and ctrl-d are bytes now, and nothing is echoed.
      ['send', '\x03\x04z'],
      ['expect', '03 04 7a'],
      ['expect', 'bye'],
    );
    assert.equal(result.failed, null, result.output);
    assert.match(result.output, /"exited","code":0/);
    assert.equal(result.restored, true);
  },
);

test('foreground: detach keys leave; a partial sequence reaches the other side', { skip: needsAddon }, async () => {
  const result = await typed(
    { stdin: true, terminal: true },
    ['sh', '-c', 'echo ready; head -c 2 | od -An -tx1; exec sleep 60'],
    ['expect', 'ready'],
    ['send', '\x10x'],
    ['expect', '10 78'],
    ['send', '\x10'],
    ['send', '\x11'],
    ['expect', 'end: {"kind":"detached"}'],
  );
  assert.equal(result.failed, null, result.output);
  assert.equal(result.restored, true);
});

test(
  'foreground: the terminal is restored when we crash and when a signal kills us',
  { skip: needsAddon },
  async () => {
    const options = { stdin: true, terminal: true, forwardSignals: false };
    const crashed = await typed(
      { ...options, crash: true },
      ['sh', '-c', 'echo ready; exec sleep 1'],
      ['expect', 'ready'],
    );
    assert.match(crashed.output, /crashed on purpose/);
    assert.equal(crashed.restored, true, 'after a crash');
    for (const signal of [SIGTERM, SIGHUP]) {
      const killed = await typed(
        options,
        ['sh', '-c', 'sleep 0.3; echo ready; exec sleep 1'],
        ['expect', 'ready'],
        ['signal', signal],
      );
      assert.equal(killed.code, -signal);
      assert.equal(killed.restored, true, `after signal ${signal}`);
    }
  },
);
