import { type ChildProcess, spawn } from 'node:child_process';
import { messageOf, TareError } from '../../base/errors.ts';
import { type FdLike, numberOf } from '../../sys/fd.ts';
import { cannot, type CniCommand, CniError, type CniRequest, pluginError, shown } from './cni-error.ts';
import { findPlugin } from './find-plugin.ts';
import { type JsonObject, JsonProblem, parseObject } from './json.ts';

/** How plugins are run. */
export interface PluginGround {
  /** Where they are (CNI_PATH). */
  readonly pluginDirs: readonly string[];
  /** One that takes longer is killed; default a minute. */
  readonly timeoutMs?: number;
  /** Words before the plugin's own: a program that enters the namespaces of the networks and executes the rest. */
  readonly within?: readonly string[];
}

/** What a plugin is told by its environment (CNI 1.1, section 2, "parameters"). */
export interface PluginCall {
  readonly command: CniCommand;
  readonly containerId?: string;
  /** Path of the network namespace; "": gone. */
  readonly netns?: string;
  readonly ifname?: string;
  readonly args?: readonly (readonly [key: string, value: string])[];
}

const TIMEOUT_MS = 60_000;
const MAX_OUTPUT_BYTES = 1024 * 1024;
const MAX_STDERR_BYTES = 8 * 1024;
/** One that has ended may have left somebody with its standard output. */
const LINGER_MS = 1_000;
/** Plugins call iptables and the like. */
const PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

/**
 * Runs a plugin once: `config` on its standard input, its environment CNI_* and a PATH alone, in a session of its own that is killed as a whole. `held` are descriptors it inherits: locks that are held as
 * long as it runs, also when we are killed. Returns what it printed for ADD and VERSION.
 *
 * Errors: CniError, by the plugin's own code, or deadline, exhausted, invalid output; not-found without the plugin; cancelled.
 */
export async function runPlugin(
  ground: PluginGround,
  type: string,
  call: PluginCall,
  config: JsonObject,
  options: { readonly held?: readonly FdLike[]; readonly signal?: AbortSignal | undefined } = {},
): Promise<JsonObject> {
  const { command } = call;
  const program = findPlugin(type, ground.pluginDirs);
  const { name } = config;
  const request = { plugin: type, command, ...(typeof name === 'string' ? { network: name } : {}) };
  const ended = await outcome(program, request, ground, call, JSON.stringify(config), options);
  const answers = command === 'ADD' || command === 'VERSION';
  if (ended.code === 0 && !answers) return {};
  let printed: JsonObject | undefined;
  try {
    printed = parseObject(ended.stdout);
  } catch (error) {
    if (ended.code === 0 && error instanceof JsonProblem)
      throw new CniError(request, `its answer is none: ${error.said}`, { kind: 'invalid' });
  }
  if (ended.code === 0 && printed !== undefined) return printed;
  const failure = printed === undefined ? undefined : pluginError(request, printed);
  if (failure !== undefined) throw failure;
  const lines = ended.stderr.split('\n').filter(Boolean);
  const said = shown(lines.find((line) => line.startsWith('panic: ')) ?? lines.at(-1) ?? '') || shown(ended.stdout);
  const how = ended.code === null ? `it was killed by ${ended.signal ?? 'a signal'}` : `it ended with ${ended.code}`;
  throw new CniError(request, said === '' ? how : `${how}: ${said}`);
}

interface Outcome {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

async function outcome(
  program: string,
  request: CniRequest,
  { pluginDirs, timeoutMs = TIMEOUT_MS, within = [] }: PluginGround,
  call: PluginCall,
  input: string,
  { held = [], signal }: { readonly held?: readonly FdLike[]; readonly signal?: AbortSignal | undefined },
): Promise<Outcome> {
  if (signal?.aborted === true) throw cancelled(request, signal);
  const [first, ...rest] = within.length === 0 ? [program] : [...within, program];
  const { promise, resolve, reject } = Promise.withResolvers<Outcome>();
  const child = spawn(first, rest, {
    cwd: '/',
    env: environment(call, pluginDirs),
    stdio: ['pipe', 'pipe', 'pipe', ...held.map(numberOf)],
    // Its own session and process group: whom it started is killed with it.
    detached: true,
  });
  const stdout: Buffer[] = [];
  let stderr = '';
  let bytes = 0;
  let failure: TareError | undefined;
  let linger: NodeJS.Timeout | undefined;
  // Whoever undoes what it did begins when it is dead, or cannot be killed.
  const giveUp = (error: TareError): void => {
    failure ??= error;
    killGroup(child);
    linger ??= setTimeout(() => reject(error), LINGER_MS);
  };
  child.stdout?.on('data', (piece: Buffer) => {
    bytes += piece.length;
    if (bytes <= MAX_OUTPUT_BYTES) stdout.push(piece);
    else giveUp(new CniError(request, `it printed more than ${MAX_OUTPUT_BYTES} bytes`, { kind: 'exhausted' }));
  });
  child.stderr?.on('data', (piece: Buffer) => {
    stderr = `${stderr}${piece.toString()}`.slice(-MAX_STDERR_BYTES);
  });
  // It may leave without reading.
  child.stdin?.on('error', () => {});
  child.stdin?.end(input);
  child.on('error', (cause) => reject(new CniError(request, `${program} cannot be run: ${messageOf(cause)}`)));
  const timer = setTimeout(
    () => giveUp(new CniError(request, `it took more than ${timeoutMs} ms, and was killed`, { kind: 'deadline' })),
    timeoutMs,
  );
  const onAbort = (): void => giveUp(cancelled(request, signal));
  signal?.addEventListener('abort', onAbort, { once: true });
  const done = (code: number | null, by: NodeJS.Signals | null): void => {
    if (failure === undefined) resolve({ code, signal: by, stdout: Buffer.concat(stdout).toString(), stderr });
    else reject(failure);
  };
  child.on('exit', (code, by) => {
    clearTimeout(linger);
    linger = setTimeout(() => done(code, by), LINGER_MS);
  });
  child.on('close', done);
  try {
    return await promise;
  } finally {
    clearTimeout(timer);
    clearTimeout(linger);
    signal?.removeEventListener('abort', onAbort);
    for (const stream of [child.stdin, child.stdout, child.stderr]) stream?.destroy();
  }
}

function environment(call: PluginCall, pluginDirs: readonly string[]): Record<string, string> {
  const { command, containerId, netns, ifname, args } = call;
  return {
    PATH,
    CNI_COMMAND: command,
    CNI_PATH: pluginDirs.join(':'),
    ...(containerId === undefined ? {} : { CNI_CONTAINERID: containerId }),
    ...(netns === undefined ? {} : { CNI_NETNS: netns }),
    ...(ifname === undefined ? {} : { CNI_IFNAME: ifname }),
    ...(args === undefined ? {} : { CNI_ARGS: args.map(([key, value]) => `${key}=${value}`).join(';') }),
  };
}

function cancelled(request: CniRequest, signal: AbortSignal | undefined): TareError {
  return new TareError('cancelled', `${cannot(request)}: it was cancelled`, { cause: signal?.reason });
}

/** It is the leader of its group until it is reaped, which Node does when it says so. */
function killGroup({ pid, exitCode, signalCode }: ChildProcess): void {
  if (pid === undefined || exitCode !== null || signalCode !== null) return;
  try {
    process.kill(-pid, 'SIGKILL');
  } catch {
    // It ended meanwhile.
  }
}
