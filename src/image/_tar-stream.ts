import { TareError } from '../base/errors.ts';
import { TAR_END, bytesOf, tarHeader, tarPadding } from '../archive/mod.ts';
import { blocksOf } from './_blocks.ts';
import { fileRange } from './_file-range.ts';
import { spool } from './_spool.ts';
import type { ArchiveOutput } from './archive-output.ts';
import { fstat } from '../sys/stat.ts';

/** Not every small file of a layer costs a system call. */
const WRITE_BYTES = 256 * 1024;

/**
 * A tar archive in the making: files one after the other, whoever calls first. Equal calls give equal bytes: owners and times are 0. A file whose body fails spoils the archive:
 * it takes no more.
 */
export class TarStream {
  readonly #output: ArchiveOutput;
  readonly #tempDir: string;
  /** The end of the calls so far; never rejects. */
  #queue: Promise<unknown> = Promise.resolve();
  #failure: { readonly error: unknown } | undefined;

  /** `tempDir`: where files wait whose size is not known before their end. */
  constructor(output: ArchiveOutput, tempDir: string) {
    this.#output = output;
    this.#tempDir = tempDir;
  }

  directory(name: string): Promise<void> {
    return this.#enqueue(() => this.#output.write(tarHeader({ path: bytesOf(name), kind: 'dir' })));
  }

  /** `open` is called when it is this file's turn. Errors: what the body throws; `invalid` when it has another size. */
  file(name: string, sizeBytes: number, open: () => AsyncIterable<Uint8Array>): Promise<void> {
    return this.#enqueue(async () => {
      await this.#output.write(tarHeader({ path: bytesOf(name), kind: 'file', sizeBytes }));
      let left = sizeBytes;
      for await (const part of blocksOf(open(), WRITE_BYTES)) {
        left -= part.byteLength;
        if (left < 0) break;
        await this.#output.write(part);
      }
      if (left !== 0)
        throw new TareError('invalid', `Cannot write ${name}: it has not the ${sizeBytes} bytes it should`);
      await this.#output.write(tarPadding(sizeBytes));
    });
  }

  /** A file whose name and size are known when its body has ended: it is kept in a temporary file until then. */
  async fileOfUnknownSize(body: AsyncIterable<Uint8Array>, nameOf: () => string | undefined): Promise<void> {
    using fd = await spool(body, this.#tempDir, 'a layer');
    const { sizeBytes } = fstat(fd);
    const name = nameOf();
    if (name !== undefined) await this.file(name, sizeBytes, () => fileRange(fd.number, 0, sizeBytes, 'a layer'));
  }

  /** The archive is complete and kept. Errors: what failed before. */
  end(): Promise<void> {
    return this.#enqueue(async () => {
      await this.#output.write(TAR_END);
      await this.#output.commit();
    });
  }

  #enqueue(act: () => Promise<void>): Promise<void> {
    const turn = this.#queue.then(async () => {
      if (this.#failure !== undefined)
        throw new TareError('failed-precondition', 'Cannot write archive: an earlier part of it failed', {
          cause: this.#failure.error,
        });
      try {
        await act();
      } catch (error) {
        this.#failure = { error };
        throw error;
      }
    });
    this.#queue = turn.catch(() => {});
    return turn;
  }
}
