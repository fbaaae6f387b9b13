import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, existsSync, mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Answer, Request } from './agent-protocol.ts';
import { checkoutDisk } from './checkout.ts';
import { vmImage } from './image.ts';

/** How a command in the machine ended. */
export interface GuestOutcome {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** How to run it. */
export interface GuestOptions {
  readonly input?: string;
  readonly env?: Readonly<Record<string, string>>;
  /** Default two minutes: everything is slow under emulation. */
  readonly timeoutMs?: number;
  /** Gets the lines of standard output as they come, instead of `stdout`. */
  readonly onLine?: (line: string) => void;
}

const BOOT_TIMEOUT_MS = 600_000;
const MEMORY_MIB = 1536;

/**
 * A virtual machine with systemd, pure cgroup v2 and this checkout in /tare, on an emulated processor. The disk is its own and keeps what was written
 * over `cutPower` and `boot`; disposing kills it and removes the disk. Nothing of it needs privileges, but the image (see image.ts) has to be built.
 */
export class Machine implements AsyncDisposable {
  readonly #dir: string;
  readonly #argv: readonly string[];
  #process: ChildProcess | undefined;
  #socket: Socket | undefined;
  #hello = Promise.withResolvers<void>();
  readonly #pending = new Map<number, { options: GuestOptions; done: (answer: GuestOutcome | Error) => void }>();
  #next = 1;

  private constructor(dir: string, argv: readonly string[]) {
    this.#dir = dir;
    this.#argv = argv;
  }

  /** Makes a machine with a fresh disk; `boot` starts it. Errors: Error when the image cannot be built or qemu is not there. */
  static async create(say: (line: string) => void): Promise<Machine> {
    const image = await vmImage(say);
    const dir = mkdtempSync(join(tmpdir(), 'tare-vm-'));
    checkoutDisk(join(dir, 'checkout.img'));
    const disk = join(dir, 'disk.qcow2');
    const made = spawnSync('qemu-img', ['create', '-q', '-f', 'qcow2', '-F', 'raw', '-b', image.root, disk], {
      encoding: 'utf8',
    });
    if (made.status !== 0)
      throw new Error(`Cannot make a disk: qemu-img (Debian: qemu-utils): ${made.error?.message ?? made.stderr}`);
    return new Machine(dir, qemuArguments(dir, image));
  }

  /** Starts it and waits until its agent answers. Errors: Error with the console's last lines. */
  async boot(): Promise<void> {
    this.#hello = Promise.withResolvers();
    // Of a machine whose power was cut.
    rmSync(join(this.#dir, 'agent'), { force: true });
    const log = openSync(join(this.#dir, 'qemu.log'), 'a');
    // It dies with us, however we die.
    const argv = ['--pdeathsig', 'KILL', 'qemu-system-x86_64', ...this.#argv];
    const child = spawn('setpriv', argv, { stdio: ['ignore', log, log] });
    closeSync(log);
    this.#process = child;
    child.on('error', (error) => this.#hello.reject(error));
    child.on('exit', () => this.#lost('the machine is off'));
    await this.#connect();
    await this.#booted();
  }

  /** Waits for the agent's hello. */
  async #booted(): Promise<void> {
    using timer = new DisposableStack();
    const late = setTimeout(() => this.#hello.reject(new Error('no answer')), BOOT_TIMEOUT_MS);
    timer.defer(() => clearTimeout(late));
    try {
      await this.#hello.promise;
    } catch (cause) {
      throw new Error(`Cannot boot the virtual machine: ${String(cause)}\n${this.console().slice(-4000)}`, { cause });
    }
  }

  /** What the kernel and systemd said. */
  console(): string {
    return ['qemu.log', 'console.log']
      .map((name) => join(this.#dir, name))
      .map((path) => (existsSync(path) ? readFileSync(path, 'utf8') : ''))
      .join('');
  }

  /** Runs a command as root. Errors: Error when the machine goes away meanwhile, or it takes too long. */
  async run(argv: readonly string[], options: GuestOptions = {}): Promise<GuestOutcome> {
    const id = this.#next++;
    const { input, env, timeoutMs = 120_000 } = options;
    const request: Request = {
      id,
      argv,
      timeoutMs,
      lines: options.onLine !== undefined,
      ...(input === undefined ? {} : { input }),
      ...(env === undefined ? {} : { env }),
    };
    const { promise, resolve } = Promise.withResolvers<GuestOutcome | Error>();
    const socket = this.#socket;
    if (socket === undefined || socket.destroyed)
      throw new Error(`Cannot run ${argv.join(' ')} in the virtual machine: it is off`);
    this.#pending.set(id, { options, done: resolve });
    socket.write(`${JSON.stringify(request)}\n`);
    const answer = await promise;
    if (answer instanceof Error) throw answer;
    return answer;
  }

  /** A shell command that must succeed; its output without the last newline. Errors: Error with what it said. */
  async sh(script: string, options: GuestOptions = {}): Promise<string> {
    const { code, stdout, stderr } = await this.run(['sh', '-ec', script], options);
    if (code !== 0) throw new Error(`In the virtual machine: ${script}\nended with ${code}: ${stdout}${stderr}`);
    return stdout.trimEnd();
  }

  /** As pulling the plug: what the guest has not flushed is lost. */
  async cutPower(): Promise<void> {
    const child = this.#process;
    this.#process = undefined;
    this.#socket?.destroy();
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const gone = new Promise((resolve) => child.once('exit', resolve));
    child.kill('SIGKILL');
    await gone;
  }

  /** An orderly reboot, from the power button on: an emulated processor under load does not always survive a warm one. Errors: Error. */
  async reboot(): Promise<void> {
    const child = this.#process;
    const gone = new Promise<boolean>((resolve) => {
      child?.once('exit', () => resolve(true));
      setTimeout(resolve, BOOT_TIMEOUT_MS, false).unref();
    });
    await this.run(['systemctl', '--no-block', 'reboot']);
    if (!(await gone)) throw new Error(`Cannot reboot the virtual machine: it goes on\n${this.console().slice(-4000)}`);
    this.#socket?.destroy();
    await this.boot();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.cutPower();
    rmSync(this.#dir, { recursive: true, force: true });
  }

  /** Qemu makes its socket some time after its start. */
  async #connect(): Promise<void> {
    const socket = await this.#connected(join(this.#dir, 'agent'));
    this.#socket = socket;
    let rest = '';
    socket.setEncoding('utf8');
    socket.on('error', (error) => this.#hello.reject(error));
    socket.on('data', (text: string) => {
      const lines = `${rest}${text}`.split('\n');
      rest = lines.pop() ?? '';
      for (const line of lines) this.#answer(line);
    });
  }

  /** The path is there a moment before somebody listens. */
  async #connected(path: string): Promise<Socket> {
    for (let attempt = 0; ; attempt++) {
      const socket = connect(path);
      try {
        await once(socket, 'connect');
        return socket;
      } catch (cause) {
        if (this.#process?.exitCode !== null || attempt === 600)
          throw new Error(`Cannot start qemu: ${this.console()}`, { cause });
      }
      await sleep(50);
    }
  }

  #answer(line: string): void {
    let answer: Answer;
    try {
      answer = JSON.parse(line) as Answer;
    } catch {
      // Nothing, or the half of a line that an agent died over.
      return;
    }
    if ('hello' in answer) {
      this.#lost('the machine was rebooted');
      this.#hello.resolve();
      return;
    }
    const waiting = this.#pending.get(answer.id);
    if (waiting === undefined) return;
    if ('line' in answer) return waiting.options.onLine?.(answer.line);
    this.#pending.delete(answer.id);
    if ('error' in answer) waiting.done(new Error(`Cannot run it in the virtual machine: ${answer.error}`));
    else waiting.done(answer);
  }

  #lost(why: string): void {
    for (const { done } of this.#pending.values()) done(new Error(`Cannot wait for the command: ${why}`));
    this.#pending.clear();
  }
}

/**
 * Plain q35: the microvm machine has no clock that this kernel could calibrate against without KVM. Mitigations cost an emulated processor much and protect nobody.
 */
function qemuArguments(dir: string, image: { kernel: string; initrd: string }): string[] {
  const append =
    'console=ttyS0 quiet systemd.show_status=1 mitigations=off nokaslr systemd.unified_cgroup_hierarchy=1 panic=1 root=/dev/vda rw';
  return [
    ...['-M', 'q35', '-accel', 'tcg,thread=multi', '-cpu', 'max', '-smp', '2', '-m', `${MEMORY_MIB}`],
    ...['-nodefaults', '-no-user-config', '-display', 'none', '-no-reboot'],
    ...['-kernel', image.kernel, '-initrd', image.initrd, '-append', append],
    ...['-chardev', `file,id=console,path=${dir}/console.log,append=on`, '-serial', 'chardev:console'],
    ...['-drive', `if=none,id=disk,file=${dir}/disk.qcow2,format=qcow2,discard=unmap`],
    ...['-device', 'virtio-blk-pci,drive=disk'],
    ...['-drive', `if=none,id=checkout,file=${dir}/checkout.img,format=raw,readonly=on`],
    ...['-device', 'virtio-blk-pci,drive=checkout'],
    ...['-device', 'virtio-serial-pci', '-chardev', `socket,id=agent,path=${dir}/agent,server=on,wait=off`],
    ...['-device', 'virtserialport,chardev=agent,name=agent'],
  ];
}
