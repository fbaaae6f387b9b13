import { TareError } from '../../base/errors.ts';
import { addon } from '../addon.ts';
import { check, isErrno, SysError } from '../error.ts';
import { Fd, type FdLike } from '../fd.ts';
import { socketIn } from '../network-namespace.ts';
import { setReceiveTimeout } from '../socket.ts';
import { malformed } from './attributes.ts';
import {
  encodeMessage,
  type NetlinkMessage,
  NLM_F_ACK,
  NLM_F_DUMP,
  NLM_F_DUMP_INTR,
  NLM_F_REQUEST,
  NLMSG_DONE,
  NLMSG_ERROR,
  readMessages,
  readVerdict,
} from './message.ts';

const AF_NETLINK = 16;
const SOCK_RAW = 3;
const SOL_SOCKET = 1;
const SO_SNDBUFFORCE = 32;
const SOL_NETLINK = 270;
const NETLINK_CAP_ACK = 10;
const NETLINK_EXT_ACK = 11;
const NETLINK_GET_STRICT_CHK = 12;
const MSG_TRUNC = 0x20;
const EINTR = 4;
const EAGAIN = 11;

const protocols = { route: 0, netfilter: 12 } as const;
/** The kernel's answers are at most 32 KB, but for a single message that is larger. */
const RECEIVE_BYTES = 128 * 1024;
/** What a socket takes as it is (net.core.wmem_default, with room for the kernel's own). */
const USUAL_SEND_BYTES = 64 * 1024;
/** It answers before send(2) returns: whoever waits longer waits for nothing. */
const TIMEOUT_MS = 10_000;
const DUMP_TRIES = 10;
/** Requests in one message: their answers all wait in the socket at the same time. */
const AT_ONCE = 32;

/** Something asked of the kernel. `what` and `of` name it in an error: "Cannot add link veth0: …". */
export interface Request {
  readonly type: number;
  /** Besides NLM_F_REQUEST and NLM_F_ACK. */
  readonly flags?: number;
  readonly parts: readonly Uint8Array[];
  readonly what: string;
  readonly of?: string;
  /** Error names that are as good as done: EEXIST of something idempotent. */
  readonly allow?: readonly string[];
}

/**
 * A netlink socket, of a network namespace that no thread of ours need be in. The kernel carries a request out while it is sent: all calls are synchronous and take as long as the work itself.
 */
export class NetlinkSocket implements Disposable {
  readonly #fd: Fd;
  readonly #buffer = Buffer.allocUnsafeSlow(RECEIVE_BYTES);
  #sequence = 0;

  private constructor(fd: Fd) {
    this.#fd = fd;
  }

  /** Errors: by errno; `unsupported` where the kernel has no such protocol. */
  static open(protocol: keyof typeof protocols, netns?: FdLike): NetlinkSocket {
    using fd = socketIn(netns, AF_NETLINK, SOCK_RAW, protocols[protocol]);
    for (const option of [NETLINK_CAP_ACK, NETLINK_EXT_ACK, NETLINK_GET_STRICT_CHK])
      check(addon().setsockopt(fd.number, SOL_NETLINK, option, Int32Array.of(1)), 'setsockopt(SOL_NETLINK)');
    setReceiveTimeout(fd, TIMEOUT_MS);
    return new NetlinkSocket(Fd.adopt(fd.release()));
  }

  /** As disposal, for one whose end the kernel would let us wait for. */
  closeAside(): void {
    this.#fd.closeAside();
  }

  [Symbol.dispose](): void {
    this.#fd.close();
  }

  /**
   * Carries requests out, in their order; the answers that are no acknowledgements come back. Each is tried, whatever became of those before it.
   * Errors: the first one's that failed, by errno, with the kernel's own words.
   */
  request(requests: readonly Request[]): NetlinkMessage[] {
    const answers: NetlinkMessage[] = [];
    const errors: SysError[] = [];
    for (let at = 0; at < requests.length; at += AT_ONCE)
      this.#requestSome(requests.slice(at, at + AT_ONCE), answers, errors);
    const [failed] = errors;
    if (failed !== undefined) throw failed;
    return answers;
  }

  #requestSome(requests: readonly Request[], answers: NetlinkMessage[], errors: SysError[]): void {
    const first = this.#sequence + 1;
    this.#sequence += requests.length;
    this.#send(
      requests.map(({ type, flags = 0, parts }, index) =>
        encodeMessage(type, NLM_F_REQUEST | NLM_F_ACK | flags, first + index, ...parts),
      ),
    );
    for (let open = requests.length; open > 0;) {
      for (const message of this.#receive()) {
        const request = requests[message.sequence - first];
        if (request === undefined) continue;
        if (message.type !== NLMSG_ERROR) {
          answers.push({ ...message, payload: Buffer.from(message.payload) });
          continue;
        }
        open--;
        const failed = errorOf(message, request);
        if (failed !== undefined) errors.push(failed);
      }
    }
  }

  /**
   * All that there is of something, each message read by `read`. A list that was changed while it was read is read again. Errors: by errno; `unavailable` when it never stands still.
   */
  dump<T>(request: Request, read: (payload: Buffer) => T): T[] {
    for (let attempt = 0; attempt < DUMP_TRIES; attempt++) {
      const found = this.#dumpOnce(request, read);
      if (found !== undefined) return found;
    }
    throw new TareError('unavailable', `Cannot ${request.what}: others keep changing them`);
  }

  #dumpOnce<T>(request: Request, read: (payload: Buffer) => T): T[] | undefined {
    const sequence = ++this.#sequence;
    const flags = NLM_F_REQUEST | NLM_F_DUMP | (request.flags ?? 0);
    this.#send([encodeMessage(request.type, flags, sequence, ...request.parts)]);
    const found: T[] = [];
    for (let changed = false; ;) {
      for (const message of this.#receive()) {
        if (message.sequence !== sequence) continue;
        changed ||= (message.flags & NLM_F_DUMP_INTR) !== 0;
        if (message.type === NLMSG_ERROR || message.type === NLMSG_DONE) {
          const failed = errorOf(message, request);
          if (failed?.code === 'EINTR') return undefined;
          if (failed !== undefined) throw failed;
          return changed ? undefined : found;
        }
        found.push(read(message.payload));
      }
    }
  }

  /**
   * Sends messages that are carried out together or not at all, between `begin` and `end`. Errors: the first one's that was refused.
   */
  batch(begin: Request, requests: readonly Request[], end: Request): void {
    if (requests.length === 0) return;
    const all = [begin, ...requests, end];
    const first = this.#sequence + 1;
    this.#sequence += all.length;
    const last = requests.length;
    this.#send(
      all.map(({ type, flags = 0, parts }, index) =>
        encodeMessage(type, NLM_F_REQUEST | (index === last ? NLM_F_ACK : 0) | flags, first + index, ...parts),
      ),
    );
    let failed: SysError | undefined;
    for (let done = false; !done;) {
      for (const message of this.#receive()) {
        const index = message.sequence - first;
        const request = all[index];
        if (request === undefined || message.type !== NLMSG_ERROR) continue;
        failed ??= errorOf(message, request);
        // A batch that may not begin is not looked at.
        done ||= index === last || index === 0;
      }
    }
    if (failed !== undefined) throw failed;
  }

  #send(messages: readonly Buffer[]): void {
    const bytes = Buffer.concat(messages);
    if (bytes.length > USUAL_SEND_BYTES)
      check(
        addon().setsockopt(this.#fd.number, SOL_SOCKET, SO_SNDBUFFORCE, Int32Array.of(2 * bytes.length)),
        'setsockopt(SO_SNDBUFFORCE)',
      );
    let sent: number;
    do sent = addon().sendmsg(this.#fd.number, bytes, null, 0);
    while (sent === -EINTR);
    check(sent, 'send netlink message');
  }

  #receive(): NetlinkMessage[] {
    for (;;) {
      const length = addon().recvmsg(this.#fd.number, this.#buffer, noFds, MSG_TRUNC);
      if (length === -EINTR) continue;
      if (length === -EAGAIN) throw new TareError('deadline', 'Cannot receive netlink message: the kernel is silent');
      check(length, 'receive netlink message');
      if (length > this.#buffer.length) throw malformed(`${length} bytes are too many`);
      return readMessages(this.#buffer.subarray(0, length));
    }
  }
}

const noFds = new Int32Array(1);

function errorOf(message: NetlinkMessage, { what, of, allow = [] }: Request): SysError | undefined {
  const { errno, text } = readVerdict(message);
  if (errno === 0) return undefined;
  const error = new SysError(what, errno, of, text);
  return isErrno(error, ...allow) ? undefined : error;
}
