/** One member of an initramfs. */
export interface CpioEntry {
  /** Relative, without a leading slash. */
  readonly name: string;
  /** Type and permission bits. */
  readonly mode: number;
  /** Contents of a file, target of a link, nothing for a directory. */
  readonly data: Uint8Array;
}

/** The entries as a "newc" archive, the format the kernel unpacks (Documentation/driver-api/early-userspace/buffer-format). */
export function cpio(entries: readonly CpioEntry[]): Buffer {
  const parts = [...entries, { name: 'TRAILER!!!', mode: 0, data: new Uint8Array() }].flatMap((entry, index) => {
    const name = Buffer.from(`${entry.name}\0`);
    const fields = [index + 1, entry.mode, 0, 0, 1, 0, entry.data.length, 0, 0, 0, 0, name.length, 0];
    const header = `070701${fields.map((field) => field.toString(16).padStart(8, '0')).join('')}`;
    return [padded(Buffer.concat([Buffer.from(header), name])), padded(entry.data)];
  });
  return Buffer.concat(parts);
}

function padded(bytes: Uint8Array): Buffer {
  return Buffer.concat([bytes, Buffer.alloc(-bytes.length & 3)]);
}
