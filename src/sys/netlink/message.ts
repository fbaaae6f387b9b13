import { align, Attributes, malformed } from './attributes.ts';

/** struct nlmsghdr. */
export const HEADER_BYTES = 16;

export const NLM_F_REQUEST = 0x1;
export const NLM_F_MULTI = 0x2;
export const NLM_F_ACK = 0x4;
export const NLM_F_DUMP = 0x300;
export const NLM_F_REPLACE = 0x100;
export const NLM_F_EXCL = 0x200;
export const NLM_F_CREATE = 0x400;
export const NLM_F_APPEND = 0x800;
/** A dump that is no picture of one moment. */
export const NLM_F_DUMP_INTR = 0x10;
const NLM_F_CAPPED = 0x100;
const NLM_F_ACK_TLVS = 0x200;

export const NLMSG_ERROR = 2;
export const NLMSG_DONE = 3;

const NLMSGERR_ATTR_MSG = 1;

/** One message, as it comes. */
export interface NetlinkMessage {
  readonly type: number;
  readonly flags: number;
  readonly sequence: number;
  /** Whose it is: the port of the socket that asked. */
  readonly port: number;
  /** A view of what was received. */
  readonly payload: Buffer;
}

/** What the kernel says about a request: errno 0 is an acknowledgement; `text` is its own word on an error (extended acknowledgement). */
export interface Verdict {
  readonly errno: number;
  readonly text?: string;
}

/** A message with its header, padded. */
export function encodeMessage(type: number, flags: number, sequence: number, ...parts: readonly Uint8Array[]): Buffer {
  const length = parts.reduce((sum, part) => sum + part.length, HEADER_BYTES);
  const bytes = Buffer.alloc(align(length));
  bytes.writeUInt32LE(length, 0);
  bytes.writeUInt16LE(type, 4);
  bytes.writeUInt16LE(flags, 6);
  bytes.writeUInt32LE(sequence, 8);
  let at = HEADER_BYTES;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
}

/** The messages of one datagram. Errors: invalid. */
export function readMessages(bytes: Buffer): NetlinkMessage[] {
  const messages: NetlinkMessage[] = [];
  for (let at = 0; at < bytes.length;) {
    if (bytes.length - at < HEADER_BYTES) throw malformed(`${bytes.length - at} bytes are no header`);
    const length = bytes.readUInt32LE(at);
    if (length < HEADER_BYTES || length > bytes.length - at)
      throw malformed(`it says ${length} bytes where ${bytes.length - at} are left`);
    messages.push({
      type: bytes.readUInt16LE(at + 4),
      flags: bytes.readUInt16LE(at + 6),
      sequence: bytes.readUInt32LE(at + 8),
      port: bytes.readUInt32LE(at + 12),
      payload: bytes.subarray(at + HEADER_BYTES, at + length),
    });
    at += align(length);
  }
  return messages;
}

/** What an NLMSG_ERROR or NLMSG_DONE says. Errors: invalid. */
export function readVerdict({ type, flags, payload }: NetlinkMessage): Verdict {
  // The end of a dump may say nothing.
  if (type === NLMSG_DONE && payload.length < 4) return { errno: 0 };
  if (payload.length < 4) throw malformed('an error without a number');
  const errno = 0 - payload.readInt32LE(0);
  if ((flags & NLM_F_ACK_TLVS) === 0) return { errno };
  const text = new Attributes(payload.subarray(attributesAt(type, flags, payload))).text(NLMSGERR_ATTR_MSG);
  return text === undefined || text === '' ? { errno } : { errno, text };
}

/** They follow the request's header, or the whole of it where it comes back. */
function attributesAt(type: number, flags: number, payload: Buffer): number {
  if (type === NLMSG_DONE) return 4;
  if (payload.length < 4 + HEADER_BYTES) throw malformed('an error without the header of its request');
  const length = (flags & NLM_F_CAPPED) === 0 ? payload.readUInt32LE(4) : HEADER_BYTES;
  const at = 4 + align(length);
  if (length < HEADER_BYTES || at > payload.length) throw malformed('an error with half a request');
  return at;
}
