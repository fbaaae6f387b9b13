import { TareError } from '../../base/errors.ts';

/** A value with its own type. */
export interface Variant {
  readonly signature: string;
  readonly value: Value;
}

/** What a D-Bus message carries: 64-bit numbers as bigint; arrays, structs and dictionary entries as arrays. */
export type Value = number | bigint | boolean | string | Variant | readonly Value[];

/** Structs, arrays and variants inside one another. The specification's limit. */
const MAX_DEPTH = 64;
/** The specification's limit. */
const MAX_SIGNATURE = 255;

const alignments: Readonly<Record<string, number>> = {
  ...{ y: 1, g: 1, v: 1, n: 2, q: 2, b: 4, u: 4, i: 4, s: 4, o: 4, a: 4, h: 4, x: 8, t: 8, d: 8, '(': 8, '{': 8 },
};

/** A message that breaks the rules, from either side. */
export function malformed(what: string): TareError {
  return new TareError('invalid', `Cannot read D-Bus message: ${what}`);
}

/** The complete types a signature consists of. Errors: invalid. */
export function completeTypes(signature: string): string[] {
  if (signature.length > MAX_SIGNATURE) throw malformed('its signature is too long');
  const types: string[] = [];
  for (let at = 0; at < signature.length;) {
    const end = endOfType(signature, at, 0);
    types.push(signature.slice(at, end));
    at = end;
  }
  return types;
}

function endOfType(signature: string, at: number, depth: number): number {
  const code = signature[at] ?? '';
  if (!Object.hasOwn(alignments, code) || depth > MAX_DEPTH) throw malformed(`signature ${JSON.stringify(signature)}`);
  if (code === 'a') return endOfType(signature, at + 1, depth + 1);
  const close = code === '(' ? ')' : code === '{' ? '}' : undefined;
  if (close === undefined) return at + 1;
  let end = at + 1;
  while (signature[end] !== close) end = endOfType(signature, end, depth + 1);
  // An empty struct takes no bytes: an array of them would have no end.
  if (end === at + 1) throw malformed(`signature ${JSON.stringify(signature)}`);
  return end + 1;
}

/** Writes values as their signature says, little endian, aligned from the first byte on. Errors: invalid for a value that is not of its type. */
export function marshal(signature: string, values: readonly Value[]): Buffer {
  const writer = new Writer();
  const types = completeTypes(signature);
  if (types.length !== values.length) throw new TareError('internal', `Cannot write D-Bus values as ${signature}`);
  types.forEach((type, index) => writer.write(type, values[index]));
  return writer.bytes();
}

class Writer {
  #buffer = Buffer.alloc(512);
  #length = 0;

  bytes(): Buffer {
    return this.#buffer.subarray(0, this.#length);
  }

  write(type: string, value: Value | undefined): void {
    this.#align(alignments[type[0] ?? ''] ?? 1);
    if (type[0] === 'a' && Array.isArray(value)) return this.#array(type.slice(1), value as readonly Value[]);
    if ((type[0] === '(' || type[0] === '{') && Array.isArray(value)) {
      const types = completeTypes(type.slice(1, -1));
      return types.forEach((inner, index) => this.write(inner, (value as readonly Value[])[index]));
    }
    if (type === 'v' && typeof value === 'object' && 'signature' in value) {
      this.#signature(value.signature);
      return this.write(value.signature, value.value);
    }
    if (typeof value === 'string') {
      if (type === 'g') return this.#signature(value);
      if (type === 's' || type === 'o') return this.#text(value);
    }
    if (type === 'b' && typeof value === 'boolean') return this.#u32(value ? 1 : 0);
    if (type === 'u' && typeof value === 'number') return this.#u32(value);
    if (type === 't' && typeof value === 'bigint') return void this.#buffer.writeBigUInt64LE(value, this.#take(8));
    if (type === 'y' && typeof value === 'number') return void this.#buffer.writeUInt8(value, this.#take(1));
    throw new TareError('internal', `Cannot write ${typeof value} as D-Bus type ${type}`);
  }

  #array(type: string, values: readonly Value[]): void {
    const lengthAt = this.#take(4);
    this.#align(alignments[type[0] ?? ''] ?? 1);
    const start = this.#length;
    for (const value of values) this.write(type, value);
    this.#buffer.writeUInt32LE(this.#length - start, lengthAt);
  }

  #text(text: string): void {
    if (text.includes('\0')) throw new TareError('invalid', 'Cannot write D-Bus string: it has a NUL byte');
    this.#u32(Buffer.byteLength(text));
    this.#raw(`${text}\0`);
  }

  #signature(text: string): void {
    completeTypes(text);
    this.#buffer.writeUInt8(text.length, this.#take(1));
    this.#raw(`${text}\0`);
  }

  #raw(text: string): void {
    const at = this.#take(Buffer.byteLength(text));
    this.#buffer.write(text, at);
  }

  #u32(value: number): void {
    const at = this.#take(4);
    this.#buffer.writeUInt32LE(value, at);
  }

  #align(to: number): void {
    this.#take(-this.#length & (to - 1));
  }

  /** Where the next `size` bytes, zero so far, begin. */
  #take(size: number): number {
    const at = this.#length;
    this.#length += size;
    while (this.#length > this.#buffer.length) this.#buffer = Buffer.concat([this.#buffer, Buffer.alloc(this.#length)]);
    return at;
  }
}

/** Reads values of a signature out of bytes that begin at an 8-byte boundary of their message. Errors: invalid for whatever does not follow the specification. */
export function unmarshal(signature: string, bytes: Buffer, littleEndian: boolean): Value[] {
  const reader = new Reader(bytes, littleEndian);
  return completeTypes(signature).map((type) => reader.read(type, 0));
}

class Reader {
  readonly #bytes: Buffer;
  readonly #little: boolean;
  #at = 0;

  constructor(bytes: Buffer, littleEndian: boolean) {
    this.#bytes = bytes;
    this.#little = littleEndian;
  }

  read(type: string, depth: number): Value {
    if (depth > MAX_DEPTH) throw malformed('its values are too deep');
    const code = type[0] ?? '';
    this.#take(-this.#at & ((alignments[code] ?? 1) - 1));
    switch (code) {
      case 'a':
        return this.#array(type.slice(1), depth);
      case '(':
      case '{':
        return completeTypes(type.slice(1, -1)).map((inner) => this.read(inner, depth + 1));
      case 'v': {
        const signature = this.#text(this.#bytes.readUInt8(this.#take(1)));
        const [inner, ...more] = completeTypes(signature);
        if (inner === undefined || more.length > 0) throw malformed('a variant that is not one value');
        return { signature, value: this.read(inner, depth + 1) };
      }
      case 'y':
        return this.#bytes.readUInt8(this.#take(1));
      case 'g':
        return this.#text(this.#bytes.readUInt8(this.#take(1)));
      case 's':
      case 'o':
        return this.#text(this.#u32());
      case 'b':
        return this.#u32() !== 0;
      case 'u':
      case 'h':
        return this.#u32();
      case 'i':
        return this.#u32() | 0;
      case 'n':
      case 'q': {
        const at = this.#take(2);
        const value = this.#little ? this.#bytes.readUInt16LE(at) : this.#bytes.readUInt16BE(at);
        return code === 'n' ? (value << 16) >> 16 : value;
      }
      case 'd': {
        const at = this.#take(8);
        return this.#little ? this.#bytes.readDoubleLE(at) : this.#bytes.readDoubleBE(at);
      }
      default: {
        const at = this.#take(8);
        const value = this.#little ? this.#bytes.readBigUInt64LE(at) : this.#bytes.readBigUInt64BE(at);
        return code === 'x' ? BigInt.asIntN(64, value) : value;
      }
    }
  }

  #array(type: string, depth: number): Value[] {
    const length = this.#u32();
    this.#take(-this.#at & ((alignments[type[0] ?? ''] ?? 1) - 1));
    const end = this.#at + length;
    if (end > this.#bytes.length) throw malformed('an array longer than the message');
    const values: Value[] = [];
    while (this.#at < end) values.push(this.read(type, depth + 1));
    if (this.#at !== end) throw malformed('an array whose last element is cut');
    return values;
  }

  #text(length: number): string {
    const at = this.#take(length + 1);
    if (this.#bytes[at + length] !== 0) throw malformed('a string without its end');
    return this.#bytes.toString('utf8', at, at + length);
  }

  #u32(): number {
    const at = this.#take(4);
    return this.#little ? this.#bytes.readUInt32LE(at) : this.#bytes.readUInt32BE(at);
  }

  /** Where the next `size` bytes begin, which are there. */
  #take(size: number): number {
    const at = this.#at;
    if (at + size > this.#bytes.length) throw malformed('it is cut');
    this.#at = at + size;
    return at;
  }
}
