/** Tables of CRC-64/ISO (polynomial 0xD8…, reflected) as two 32-bit halves, made at first use. */
let tables: { high: Uint32Array; low: Uint32Array } | undefined;

function makeTables(): { high: Uint32Array; low: Uint32Array } {
  const high = new Uint32Array(256);
  const low = new Uint32Array(256);
  for (let i = 0; i < 256; i++) {
    let h = 0;
    let l = i;
    for (let bit = 0; bit < 8; bit++) {
      const odd = l & 1;
      l = ((l >>> 1) | (h << 31)) >>> 0;
      h = (h >>> 1) ^ (odd === 1 ? 0xd8000000 : 0);
    }
    high[i] = h;
    low[i] = l;
  }
  return { high, low };
}

/**
 * CRC-64/ISO, as tar-split records of every file. Unpacking computes it natively (native/addon/apply-crc.c, ten times as fast); this one serves
 * where there is no native part: reading tar-split records, and tests of the other.
 */
export class Crc64 {
  #high = 0xffffffff;
  #low = 0xffffffff;

  update(bytes: Uint8Array): this {
    tables ??= makeTables();
    const { high, low } = tables;
    let h = this.#high;
    let l = this.#low;
    for (let i = 0; i < bytes.length; i++) {
      const index = (l ^ (bytes[i] as number)) & 0xff; // in bounds
      l = ((l >>> 8) | (h << 24)) ^ (low[index] as number); // 256 entries
      h = (h >>> 8) ^ (high[index] as number); // 256 entries
    }
    this.#high = h >>> 0;
    this.#low = l >>> 0;
    return this;
  }

  /** 8 bytes, big endian. */
  digest(): Buffer {
    const result = Buffer.allocUnsafe(8);
    result.writeUInt32BE(~this.#high >>> 0, 0);
    result.writeUInt32BE(~this.#low >>> 0, 4);
    return result;
  }
}
