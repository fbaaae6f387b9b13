import { TareError } from '../../base/errors.ts';
import { Link } from '../monitor/link.ts';
import { connectUnix } from '../socket.ts';
import type { Value } from './marshal.ts';
import { type Call, encodeCall, type Message, MessageReader } from './message.ts';

/** What a peer answered that did not do what it was asked for. */
export class DBusError extends TareError {
  /** "org.freedesktop.systemd1.UnitExists". */
  readonly errorName: string;

  constructor(call: Call, errorName: string, text: string) {
    const kind = /AccessDenied|AuthFailed|InteractiveAuthorizationRequired/.test(errorName) ? 'denied' : 'internal';
    super(kind, `Cannot call ${call.member} of ${call.interface}: ${text === '' ? errorName : text}`);
    this.errorName = errorName;
  }
}

interface Waiting {
  readonly call: Call;
  readonly resolve: (values: Value[]) => void;
  readonly reject: (error: unknown) => void;
}

/** A line of the authentication. */
const MAX_LINE_BYTES = 512;

/**
 * A connection to a D-Bus peer without a bus between, such as systemd's private socket: authentication as a user (EXTERNAL), calls, and whatever signals the peer sends to everybody.
 * It has `timeoutMs` for everything; disposing it gives up what is under way.
 */
export class DBusConnection implements Disposable {
  readonly #link: Link;
  readonly #reader = new MessageReader();
  readonly #timer: NodeJS.Timeout;
  readonly #ready = Promise.withResolvers<void>();
  readonly #waiting = new Map<number, Waiting>();
  readonly #onSignal: (signal: Message) => void;
  readonly #lost = Promise.withResolvers<never>();
  #line: Buffer | undefined = Buffer.alloc(0);
  #serial = 0;
  #error: unknown;

  private constructor(path: string, timeoutMs: number, onSignal: (signal: Message) => void) {
    this.#onSignal = onSignal;
    this.#lost.promise.catch(() => {});
    this.#ready.promise.catch(() => {});
    this.#link = new Link(
      connectUnix(path),
      (bytes) => this.#take(bytes),
      (cause) =>
        this.#fail(new TareError('unavailable', `Cannot talk to ${path}: it closed the connection`, { cause })),
    );
    this.#timer = setTimeout(
      () => this.#fail(new TareError('deadline', `Cannot talk to ${path}: no answer in ${timeoutMs / 1000} s`)),
      timeoutMs,
    );
  }

  /** Connects as the user `uid` of the initial user namespace. Errors: not-found, unavailable (nobody listens), denied, deadline. */
  static async open(
    path: string,
    uid: number,
    options: { readonly timeoutMs: number; readonly onSignal?: (signal: Message) => void },
  ): Promise<DBusConnection> {
    const connection = new DBusConnection(path, options.timeoutMs, options.onSignal ?? (() => {}));
    try {
      connection.#send(Buffer.from(`\0AUTH EXTERNAL ${Buffer.from(String(uid)).toString('hex')}\r\n`));
      await connection.#ready.promise;
      return connection;
    } catch (error) {
      connection[Symbol.dispose]();
      throw error;
    }
  }

  /** Rejects when the connection ends, for whatever reason. */
  get lost(): Promise<never> {
    return this.#lost.promise;
  }

  /** Calls a method and returns what it gives back. Errors: DBusError; unavailable, deadline, invalid when the connection ended. */
  call(call: Call): Promise<Value[]> {
    if (this.#error !== undefined) return Promise.reject(this.#error as Error);
    const serial = ++this.#serial;
    return new Promise((resolve, reject) => {
      this.#waiting.set(serial, { call, resolve, reject });
      this.#send(encodeCall(call, serial));
    });
  }

  [Symbol.dispose](): void {
    this.#fail(new TareError('cancelled', 'Cannot talk to D-Bus: the connection was closed'));
  }

  /** A failure is told by the end of the connection. */
  #send(bytes: Uint8Array): void {
    this.#link.send(bytes).catch(() => {});
  }

  #take(bytes: Buffer): void {
    try {
      const rest = this.#line === undefined ? bytes : this.#authenticate(Buffer.concat([this.#line, bytes]));
      if (rest !== undefined) for (const message of this.#reader.push(rest)) this.#receive(message);
    } catch (error) {
      this.#fail(error);
    }
  }

  /** What follows the peer's line; undefined while it is not whole. */
  #authenticate(bytes: Buffer): Buffer | undefined {
    const end = bytes.indexOf('\r\n');
    if (end > MAX_LINE_BYTES || (end < 0 && bytes.length > MAX_LINE_BYTES))
      throw new TareError('invalid', 'Cannot authenticate to D-Bus: the answer is too long');
    if (end < 0) {
      this.#line = bytes;
      return undefined;
    }
    const line = bytes.toString('latin1', 0, end);
    if (!/^OK( |$)/.test(line))
      throw new TareError('denied', `Cannot authenticate to D-Bus: it answered ${JSON.stringify(line)}`);
    this.#line = undefined;
    this.#send(Buffer.from('BEGIN\r\n'));
    this.#ready.resolve();
    return bytes.subarray(end + 2);
  }

  #receive(message: Message): void {
    if (message.type === 'signal') return this.#onSignal(message);
    const waiting = message.replySerial === undefined ? undefined : this.#waiting.get(message.replySerial);
    if (waiting === undefined || message.replySerial === undefined) return;
    const values = message.values();
    this.#waiting.delete(message.replySerial);
    if (message.type !== 'error') return waiting.resolve(values);
    const [text] = values;
    waiting.reject(new DBusError(waiting.call, message.errorName ?? '', typeof text === 'string' ? text : ''));
  }

  #fail(error: unknown): void {
    if (this.#error !== undefined) return;
    this.#error = error;
    clearTimeout(this.#timer);
    this.#link.close();
    this.#ready.reject(error);
    this.#lost.reject(error);
    for (const { reject } of this.#waiting.values()) reject(error);
    this.#waiting.clear();
  }
}
