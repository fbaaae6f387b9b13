import { TareError } from '../../base/errors.ts';
import { DBusConnection } from '../../sys/dbus/connection.ts';
import type { Value } from '../../sys/dbus/marshal.ts';
import type { Message } from '../../sys/dbus/message.ts';

/** Where a manager of systemd's listens. */
export interface ManagerAddress {
  /** Its private socket. */
  readonly socket: string;
  /** Whose manager that is, or one that may talk to it; in the initial user namespace. */
  readonly uid: number;
}

/** A property of a unit: its name, the D-Bus type and the value. */
export type UnitProperty = readonly [name: string, signature: string, value: Value];

/** A machine that boots is busy. */
const TIMEOUT_MS = 30_000;
const MANAGER = { path: '/org/freedesktop/systemd1', interface: 'org.freedesktop.systemd1.Manager' } as const;

/** A connection to a manager of systemd's, which makes and ends units. Errors of all its methods: DBusError for what systemd refuses; unavailable, deadline. */
export class SystemdManager implements Disposable {
  readonly #connection: DBusConnection;
  /** A job may be over before we are told which one it is. */
  readonly #jobs: Map<string, PromiseWithResolvers<string>>;

  private constructor(connection: DBusConnection, jobs: Map<string, PromiseWithResolvers<string>>) {
    this.#connection = connection;
    this.#jobs = jobs;
  }

  static async open({ socket, uid }: ManagerAddress): Promise<SystemdManager> {
    const jobs = new Map<string, PromiseWithResolvers<string>>();
    const onSignal = (signal: Message): void => {
      if (signal.member !== 'JobRemoved' || signal.interface !== MANAGER.interface) return;
      const [, job, , result] = signal.values();
      if (typeof job === 'string' && typeof result === 'string') settled(jobs, job).resolve(result);
    };
    return new SystemdManager(await DBusConnection.open(socket, uid, { timeoutMs: TIMEOUT_MS, onSignal }), jobs);
  }

  [Symbol.dispose](): void {
    this.#connection[Symbol.dispose]();
  }

  /** Has a transient unit made; the job to wait for. */
  async startTransient(unit: string, properties: readonly UnitProperty[]): Promise<string> {
    const [job] = await this.#call('StartTransientUnit', 'ssa(sv)a(sa(sv))', [unit, 'fail', variants(properties), []]);
    if (typeof job !== 'string') throw new TareError('internal', `Cannot start ${unit}: systemd told no job`);
    return job;
  }

  /** Waits until a job of a unit is over. Errors: failed-precondition when it failed. */
  async finished(unit: string, job: string): Promise<void> {
    const result = await Promise.race([settled(this.#jobs, job).promise, this.#connection.lost]);
    if (result !== 'done')
      throw new TareError(
        'failed-precondition',
        `Cannot start ${unit}: systemd says "${result}" (journalctl -u ${unit})`,
      );
  }

  /** Changes a unit until it ends, at the latest with the machine. */
  async setProperties(unit: string, properties: readonly UnitProperty[]): Promise<void> {
    await this.#call('SetUnitProperties', 'sba(sv)', [unit, true, variants(properties)]);
  }

  /** Moves processes into a unit, or into a cgroup below its own. */
  async attach(unit: string, below: string, pids: readonly number[]): Promise<void> {
    await this.#call('AttachProcessesToUnit', 'ssau', [unit, below, pids]);
  }

  async stop(unit: string): Promise<void> {
    await this.#call('StopUnit', 'ss', [unit, 'replace']);
  }

  #call(member: string, signature: string, values: readonly Value[]): Promise<readonly Value[]> {
    return this.#connection.call({ ...MANAGER, member, signature, values });
  }
}

/** Has systemd stop a unit. Errors: DBusError when it knows none of that name; unavailable, deadline. */
export async function stopUnit(address: ManagerAddress, unit: string): Promise<void> {
  using systemd = await SystemdManager.open(address);
  await systemd.stop(unit);
}

function settled(jobs: Map<string, PromiseWithResolvers<string>>, job: string): PromiseWithResolvers<string> {
  const known = jobs.get(job) ?? Promise.withResolvers<string>();
  jobs.set(job, known);
  return known;
}

const variants = (properties: readonly UnitProperty[]): Value =>
  properties.map(([name, signature, value]) => [name, { signature, value }]);
