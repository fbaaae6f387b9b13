import { closeSync, existsSync, mkdirSync, rmdirSync, writeSync } from 'node:fs';
import { TareError } from '../../base/errors.ts';
import { attachDeviceProgram, loadDeviceProgram } from '../../sys/bpf.ts';
import { isErrno } from '../../sys/error.ts';
import { openDirectory } from '../../sys/open.ts';
import { errnoAdvice } from './_errno-advice.ts';
import { codeOf, kernelWords, openKernelFile, readKernelFile, writeKernelFile } from './files.ts';
import type { CgroupPlan, CgroupWrite } from './plan.ts';

const noAccess: ReadonlySet<string> = new Set(['EACCES', 'EPERM', 'EROFS']);

/**
 * Makes the directories of a plan and writes its limits, before any process enters.
 *
 * Returns the plan in force, to be used from here on: the same object, or one without the hierarchies in which nothing may be created here, with a
 * warning for them. A hierarchy that is needed for a limit is never left out. On failure nothing of the container's own stays.
 *
 * Errors: already-exists when the cgroup holds processes; denied, invalid, unsupported and so on for a limit the kernel refuses, by its errno.
 */
export function createCgroup(plan: CgroupPlan): CgroupPlan {
  return new Creation(plan).run();
}

/** One run of createCgroup. The usual case, with parents already there, costs a mkdir per directory and an open, write and close per limit. */
class Creation {
  readonly #plan: CgroupPlan;
  readonly #made: string[] = [];
  readonly #closed: string[] = [];
  /** Shared directories that cannot be made either. */
  readonly #closedParents: string[] = [];
  readonly #warnings: string[] = [];
  #parentsReady = false;
  /** The file written last stays open: device rules are many lines for one file. */
  #open: { readonly file: string; readonly fd: number } | undefined;

  constructor(plan: CgroupPlan) {
    this.#plan = plan;
  }

  run(): CgroupPlan {
    try {
      for (const dir of this.#plan.dirs) this.#makeDir(dir);
      for (const write of this.#plan.writes) this.#write(write);
      const devices = this.#attachDevices();
      const leaves = this.#makeMonitors();
      return this.#inForce(devices, leaves);
    } catch (error) {
      this.#closeFile();
      for (const dir of this.#made.toReversed()) rmdirSync(this.#at(dir));
      throw error;
    } finally {
      this.#closeFile();
    }
  }

  #at(path: string): string {
    return `${this.#plan.root}/${path}`;
  }

  #makeDir(dir: string): void {
    try {
      this.#tryMakeDir(dir);
    } catch (error) {
      const code = codeOf(error);
      if (noAccess.has(code) || this.#closedParents.some((parent) => dir.startsWith(`${parent}/`)))
        this.#closed.push(dir);
      else throw this.#failure('create', error, `cgroup ${this.#at(dir)}`);
    }
  }

  #tryMakeDir(dir: string): void {
    const path = this.#at(dir);
    for (let attempt = 0; ; attempt++) {
      try {
        mkdirSync(path);
        this.#made.push(dir);
        return;
      } catch (error) {
        const code = codeOf(error);
        if (code === 'ENOENT' && attempt === 0) this.#prepareParents();
        else if (code === 'EEXIST' && attempt < 2) this.#removeStale(path);
        else throw error;
      }
    }
  }

  /** What a crash left behind has old limits: made anew. */
  #removeStale(path: string): void {
    try {
      rmdirSync(path);
    } catch (error) {
      if (codeOf(error) === 'ENOENT') return;
      throw new TareError(
        'already-exists',
        `Cannot create cgroup ${path}: it exists and is in use (processes or cgroups are in it)`,
        { cause: error },
      );
    }
  }

  /** Makes the shared directories usable. Whatever fails here fails again, with its reason, where it matters. */
  #prepareParents(): void {
    if (this.#parentsReady) return;
    this.#parentsReady = true;
    for (const parent of this.#plan.parents) {
      try {
        mkdirSync(this.#at(parent));
      } catch (error) {
        // Exists, or its children cannot be made either.
        if (noAccess.has(codeOf(error)) || this.#isClosed(parent)) this.#closedParents.push(parent);
      }
    }
    for (const write of this.#plan.parentWrites) {
      if (this.#isClosed(write.file)) continue;
      try {
        if (write.copyOf === undefined) writeKernelFile(this.#at(write.file), write.value);
        // What an administrator chose for a shared cpuset stays.
        else if (!readKernelFile(this.#at(write.file)))
          writeKernelFile(this.#at(write.file), this.#copied(write.copyOf));
      } catch (error) {
        this.#warnings.push(
          `No ${write.purpose} ${this.#at(write.file)}: ${kernelWords(error)}${codeOf(error) === 'EBUSY' ? ' (processes live in that cgroup itself; move them to a cgroup below it)' : ''}`,
        );
      }
    }
  }

  #isClosed(path: string): boolean {
    return this.#closedParents.some((parent) => path.startsWith(`${parent}/`));
  }

  #copied(file: string): string {
    const value = readKernelFile(this.#at(file));
    if (!value) throw new TareError('failed-precondition', `Cannot inherit from ${this.#at(file)}: it is empty`);
    return value;
  }

  #write(write: CgroupWrite): void {
    const closed = this.#closed.find((dir) => write.file.startsWith(`${dir}/`));
    if (closed !== undefined) {
      if (write.optional || write.copyOf !== undefined) return;
      throw new TareError(
        'denied',
        `Cannot set the ${write.purpose}: creating cgroup ${this.#at(closed)} is not permitted; run as root, or choose a cgroup parent that is delegated to this user`,
      );
    }
    try {
      this.#tryWrite(write);
    } catch (first) {
      try {
        if (this.#parentsReady) throw first;
        // Another process may be between making a shared directory and preparing it, or died there.
        this.#prepareParents();
        this.#tryWrite(write);
      } catch (error) {
        if (!write.optional)
          throw this.#failure(
            'set',
            error,
            `the ${write.purpose} to ${write.value || 'the inherited value'}`,
            write.file,
          );
        this.#warnings.push(`The ${write.purpose} is not enforced: ${kernelWords(error)} (${this.#at(write.file)})`);
      }
    }
  }

  #tryWrite(write: CgroupWrite): void {
    const value = write.copyOf === undefined ? write.value : this.#copied(write.copyOf);
    try {
      writeSync(this.#fileFor(write.file), value);
    } catch (error) {
      if (write.orElse === undefined || codeOf(error) !== 'ENOENT') throw error;
      writeSync(this.#fileFor(write.orElse.file), write.orElse.value);
    }
  }

  #fileFor(file: string): number {
    if (this.#open?.file === file) return this.#open.fd;
    this.#closeFile();
    const fd = openKernelFile(this.#at(file));
    this.#open = { file, fd };
    return fd;
  }

  #closeFile(): void {
    if (this.#open) closeSync(this.#open.fd);
    this.#open = undefined;
  }

  #attachDevices(): CgroupPlan['devices'] {
    const { devices, devicesBpf, unified, controllers } = this.#plan;
    if (devices === 'v1') return this.#closed.includes(controllers['devices'] ?? '') ? 'none' : 'v1';
    if (devices !== 'bpf' || devicesBpf === undefined || unified === undefined) return devices;
    if (this.#closed.includes(unified)) {
      this.#warnings.push(`Device rules are not enforced: creating cgroup ${this.#at(unified)} is not permitted`);
      return 'none';
    }
    try {
      using program = loadDeviceProgram(devicesBpf);
      using directory = openDirectory(this.#at(unified));
      attachDeviceProgram(directory, program);
      return 'bpf';
    } catch (error) {
      // In a user namespace nobody may; there device nodes cannot be made anyway.
      if (!isErrno(error, 'EPERM', 'EACCES')) throw error;
      this.#warnings.push(`Device rules are not enforced: loading an eBPF program is not permitted (${error.message})`);
      return 'none';
    }
  }

  /** False: the monitors stay in the session's cgroup, as with engines that may not make any. */
  #makeMonitors(): boolean {
    const { monitors } = this.#plan;
    if (monitors === undefined || existsSync(this.#at(monitors))) return true;
    try {
      mkdirSync(this.#at(monitors));
      return true;
    } catch (error) {
      return codeOf(error) === 'EEXIST';
    }
  }

  #failure(verb: string, error: unknown, what: string, file?: string): TareError {
    if (error instanceof TareError) return error;
    const code = codeOf(error);
    const [kind, advice] = errnoAdvice[code] ?? (['internal', ''] as const);
    const notes = this.#warnings.length > 0 ? ` Before that: ${this.#warnings.join('; ')}` : '';
    return new TareError(
      kind,
      `Cannot ${verb} ${what}: ${kernelWords(error)}${file === undefined ? '' : ` (${this.#at(file)})`}${advice && `; ${advice}`}${notes}`,
      { cause: error },
    );
  }

  #inForce(devices: CgroupPlan['devices'], leaves: boolean): CgroupPlan {
    const plan = leaves ? this.#plan : { ...this.#plan, leave: [] };
    if (this.#closed.length === 0 && this.#warnings.length === 0 && devices === plan.devices) return plan;
    const closed = new Set(this.#closed);
    const usable = (file: string): boolean => ![...closed].some((dir) => file === dir || file.startsWith(`${dir}/`));
    if (closed.size > 0) {
      this.#warnings.push(
        `Creating a cgroup is not permitted, so not used: ${this.#closed.map((dir) => this.#at(dir)).join(', ')}`,
      );
    }
    const { unified, oom, devicesBpf, ...rest } = plan;
    const dirs = plan.dirs.filter(usable);
    const procs = usable(plan.procs) ? plan.procs : dirs[0] === undefined ? '' : `${dirs[0]}/cgroup.procs`;
    return {
      ...rest,
      dirs,
      writes: plan.writes.filter((write) => usable(write.file)),
      tasks: plan.tasks.filter(usable),
      ...(unified !== undefined && usable(unified) ? { unified } : {}),
      controllers: Object.fromEntries(Object.entries(plan.controllers).filter(([, dir]) => usable(dir))),
      kill: usable(plan.kill) ? plan.kill : '',
      procs,
      freezer: usable(plan.freezer) ? plan.freezer : '',
      ...(oom && usable(oom.file) ? { oom } : {}),
      devices,
      ...(devicesBpf && devices === 'bpf' ? { devicesBpf } : {}),
      warnings: [...plan.warnings, ...this.#warnings],
    };
  }
}
