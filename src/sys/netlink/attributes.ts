import { TareError } from '../../base/errors.ts';

/** Attributes inside one another, as deep as we look. */
const HEADER = 4;
/** Length and type are 16 bits. */
const MAX_BYTES = 0xffff;
const NLA_F_NESTED = 0x8000;
/** Without NLA_F_NESTED and NLA_F_NET_BYTEORDER. */
const TYPE_MASK = 0x3fff;

/** What breaks the rules of the protocol, from either side. */
export function malformed(what: string): TareError {
  return new TareError('invalid', `Cannot read netlink message: ${what}`);
}

/** Where the next thing begins after `length` bytes. */
export const align = (length: number): number => (length + 3) & ~3;

/** One attribute, padded. Errors: `invalid` for a value of 64 KB. */
export function attribute(type: number, value: Uint8Array): Buffer {
  const length = HEADER + value.length;
  if (length > MAX_BYTES)
    throw new TareError('invalid', `Cannot write netlink attribute: ${value.length} bytes are too many`);
  const bytes = Buffer.alloc(align(length));
  bytes.writeUInt16LE(length, 0);
  bytes.writeUInt16LE(type, 2);
  bytes.set(value, HEADER);
  return bytes;
}

/** An attribute of attributes. */
export function nested(type: number, ...attributes: readonly Uint8Array[]): Buffer {
  return attribute(type | NLA_F_NESTED, Buffer.concat(attributes));
}

/** Text with its NUL. */
export function text(type: number, value: string): Buffer {
  return attribute(type, Buffer.from(`${value}\0`));
}

export function u8(type: number, value: number): Buffer {
  return attribute(type, Uint8Array.of(value));
}

/** 16 bits of the machine's order: little endian on both architectures. */
export function u16(type: number, value: number): Buffer {
  const bytes = Buffer.alloc(2);
  bytes.writeUInt16LE(value);
  return attribute(type, bytes);
}

/** 32 bits of the machine's order. */
export function u32(type: number, value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value >>> 0);
  return attribute(type, bytes);
}

/** 32 bits of the network's order, as nf_tables has them. */
export function be32(type: number, value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value >>> 0);
  return attribute(type, bytes);
}

/** The attributes in `bytes`, in their order. Their values are views. Errors: invalid. */
export function attributeList(bytes: Buffer): [type: number, value: Buffer][] {
  const found: [number, Buffer][] = [];
  // What is shorter than a header at the end is padding.
  for (let at = 0; at + HEADER <= bytes.length;) {
    const length = bytes.readUInt16LE(at);
    if (length < HEADER || at + length > bytes.length)
      throw malformed(`an attribute of ${length} bytes where ${bytes.length - at} are left`);
    found.push([bytes.readUInt16LE(at + 2) & TYPE_MASK, bytes.subarray(at + HEADER, at + length)]);
    at += align(length);
  }
  return found;
}

/** Attributes by type; of two of one type the last. */
export class Attributes {
  readonly #values: ReadonlyMap<number, Buffer>;

  /** Errors: invalid. */
  constructor(bytes: Buffer) {
    this.#values = new Map(attributeList(bytes));
  }

  bytes(type: number): Buffer | undefined {
    return this.#values.get(type);
  }

  /** Errors: `invalid` for a value of another size; so with the others. */
  u8(type: number): number | undefined {
    return this.#sized(type, 1)?.readUInt8();
  }

  u16(type: number): number | undefined {
    return this.#sized(type, 2)?.readUInt16LE();
  }

  u32(type: number): number | undefined {
    return this.#sized(type, 4)?.readUInt32LE();
  }

  be32(type: number): number | undefined {
    return this.#sized(type, 4)?.readUInt32BE();
  }

  be64(type: number): bigint | undefined {
    return this.#sized(type, 8)?.readBigUInt64BE();
  }

  /** Up to its NUL. */
  text(type: number): string | undefined {
    const value = this.#values.get(type);
    if (value === undefined) return undefined;
    const end = value.indexOf(0);
    return value.toString('utf8', 0, end < 0 ? value.length : end);
  }

  nested(type: number): Attributes | undefined {
    const value = this.#values.get(type);
    return value === undefined ? undefined : new Attributes(value);
  }

  /** The values of a list, whatever the type of each. */
  list(type: number): Buffer[] {
    const value = this.#values.get(type);
    return value === undefined ? [] : attributeList(value).map(([, item]) => item);
  }

  #sized(type: number, size: number): Buffer | undefined {
    const value = this.#values.get(type);
    if (value !== undefined && value.length !== size)
      throw malformed(`attribute ${type} has ${value.length} bytes and not ${size}`);
    return value;
  }
}
