/** Runs in the virtual machine as a service: descriptors 0 and 1 are its serial port, see tools/vm/agent-protocol.ts. */
import { spawn } from 'node:child_process';
import { read, readFileSync, writeSync } from 'node:fs';
import type { Answer, Request } from '../../../tools/vm/agent-protocol.ts';

const chunk = Buffer.alloc(65536);
let rest = '';

function say(answer: Answer): void {
  let bytes = Buffer.from(`${JSON.stringify(answer)}\n`);
  while (bytes.length > 0) bytes = bytes.subarray(writeSync(1, bytes));
}

function listen(): void {
  read(0, chunk, 0, chunk.length, null, (error, length) => {
    // Nobody has the other end open: no end of file.
    if (error !== null || length === 0) {
      setTimeout(listen, 200);
      return;
    }
    const lines = `${rest}${chunk.toString('utf8', 0, length)}`.split('\n');
    rest = lines.pop() ?? '';
    for (const line of lines) if (line !== '') runCommand(JSON.parse(line) as Request);
    listen();
  });
}

function runCommand({ id, argv, env, input, timeoutMs, lines }: Request): void {
  const [program = '', ...args] = argv;
  const child = spawn(program, args, {
    env: { ...process.env, ...env },
    cwd: '/',
    stdio: ['pipe', 'pipe', 'pipe'],
    timeout: timeoutMs,
    killSignal: 'SIGKILL',
  });
  let stdout = '';
  let stderr = '';
  child.stdin.on('error', () => {});
  child.stdin.end(input ?? '');
  child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text));
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    stdout += text;
    if (!lines) return;
    const whole = stdout.split('\n');
    stdout = whole.pop() ?? '';
    for (const line of whole) say({ id, line });
  });
  child.on('error', (error) => say({ id, error: error.message }));
  // What it leaves behind may hold its streams: their end is not waited for long.
  child.on('exit', (code, signal) => {
    const end = (): void => {
      clearTimeout(late);
      child.removeListener('close', end);
      say({ id, code, stdout, stderr: signal === null ? stderr : `${stderr}\n(killed by ${signal})` });
    };
    const late = setTimeout(end, 2_000);
    child.on('close', end);
  });
}

listen();
// Ends what an agent before us may have begun.
writeSync(1, '\n');
say({ hello: readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim() });
