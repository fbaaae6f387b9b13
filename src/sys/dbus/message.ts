import { malformed, marshal, unmarshal, type Value } from './marshal.ts';

/** A method call. */
export interface Call {
  readonly path: string;
  readonly interface: string;
  readonly member: string;
  /** Of `values`. */
  readonly signature: string;
  readonly values: readonly Value[];
}

/** A message that came. */
export interface Message {
  readonly type: 'call' | 'return' | 'error' | 'signal';
  /** Of the call it answers. */
  readonly replySerial?: number;
  readonly interface?: string;
  readonly member?: string;
  readonly errorName?: string;
  /** What it carries. Read on demand: most signals are not for us. Errors: invalid. */
  values(): Value[];
}

/** What systemd says of one unit takes kilobytes; the specification allows 128 MiB. */
export const MAX_MESSAGE_BYTES = 1 << 20;

const FIXED_HEADER = 16;
const LITTLE = 'l'.charCodeAt(0);
const BIG = 'B'.charCodeAt(0);
const PROTOCOL = 1;
const METHOD_CALL = 1;
const types = [undefined, 'call', 'return', 'error', 'signal'] as const;
const [PATH, INTERFACE, MEMBER, ERROR_NAME, REPLY_SERIAL, SIGNATURE] = [1, 2, 3, 4, 5, 8];

/** The bytes of a call to the peer itself, on a connection without a bus between. `serial` is not 0. */
export function encodeCall(call: Call, serial: number): Buffer {
  const body = marshal(call.signature, call.values);
  const text = (code: number, signature: string, value: string): Value => [code, { signature, value }];
  const fields = [
    text(PATH, 'o', call.path),
    text(INTERFACE, 's', call.interface),
    text(MEMBER, 's', call.member),
    ...(call.signature === '' ? [] : [text(SIGNATURE, 'g', call.signature)]),
  ];
  const header = marshal('yyyyuua(yv)', [LITTLE, METHOD_CALL, 0, PROTOCOL, body.length, serial, fields]);
  return Buffer.concat([header, Buffer.alloc(-header.length & 7), body]);
}

/** Cuts a stream into messages. */
export class MessageReader {
  #rest: Buffer = Buffer.alloc(0);

  /** The messages that `bytes` complete. Errors: invalid for what no peer that follows the specification sends, and for messages above `MAX_MESSAGE_BYTES`: nothing can be read any more then. */
  push(bytes: Buffer): Message[] {
    this.#rest = this.#rest.length === 0 ? bytes : Buffer.concat([this.#rest, bytes]);
    const messages: Message[] = [];
    for (;;) {
      const message = this.#next();
      if (message === undefined) return messages;
      messages.push(message);
    }
  }

  #next(): Message | undefined {
    const bytes = this.#rest;
    if (bytes.length < FIXED_HEADER) return undefined;
    const little = bytes[0] === LITTLE;
    if ((!little && bytes[0] !== BIG) || bytes[3] !== PROTOCOL) throw malformed('it has no D-Bus header');
    const u32 = (at: number): number => (little ? bytes.readUInt32LE(at) : bytes.readUInt32BE(at));
    const [bodyBytes, fieldBytes] = [u32(4), u32(12)];
    const headerBytes = (FIXED_HEADER + fieldBytes + 7) & ~7;
    if (fieldBytes > MAX_MESSAGE_BYTES || headerBytes + bodyBytes > MAX_MESSAGE_BYTES)
      throw malformed('it is too large');
    if (bytes.length < headerBytes + bodyBytes) return undefined;
    this.#rest = bytes.subarray(headerBytes + bodyBytes);
    return decode(bytes.subarray(0, headerBytes), bytes.subarray(headerBytes, headerBytes + bodyBytes), little);
  }
}

function decode(header: Buffer, body: Buffer, little: boolean): Message {
  const [, type, , , , , fields] = unmarshal('yyyyuua(yv)', header, little) as [
    number,
    number,
    number,
    number,
    number,
    number,
    [number, { value: Value }][],
  ];
  const known = types[type];
  if (known === undefined) throw malformed(`it is of type ${type}`);
  const text = (code: number | undefined): string | undefined => {
    const value = fields.find(([field]) => field === code)?.[1].value;
    return typeof value === 'string' ? value : undefined;
  };
  const reply = fields.find(([field]) => field === REPLY_SERIAL)?.[1].value;
  const [member, errorName, name] = [text(MEMBER), text(ERROR_NAME), text(INTERFACE)];
  return {
    type: known,
    ...(typeof reply === 'number' ? { replySerial: reply } : {}),
    ...(name === undefined ? {} : { interface: name }),
    ...(member === undefined ? {} : { member }),
    ...(errorName === undefined ? {} : { errorName }),
    values: () => unmarshal(text(SIGNATURE) ?? '', body, little),
  };
}
