import { open } from 'node:fs/promises';
import { resolve } from 'node:path';
import { TareError, messageOf } from '../base/errors.ts';
import { changeImageProcess } from '../spec/image-change.ts';
import { parsePlatform } from '../spec/platform.ts';
import { streamOf } from '../sys/read-stream.ts';
import { emit } from './emit.ts';
import type { Engine } from './engine.ts';
import { fileError } from './file-error.ts';
import { wantedPlatform } from './images.ts';
import { wholeTar } from './whole-tar.ts';
import { storeImage } from './store-image.ts';

export interface ImportImageOptions {
  /** A file's path, an http or https address, a descriptor that is read to its end, or the bytes themselves: a tar, plain, gzip or zstd. */
  readonly input: string | number | AsyncIterable<Uint8Array>;
  /** Where a relative path starts. */
  readonly cwd?: string;
  /** What the image is called; without it it has no name. */
  readonly name?: string;
  /** Dockerfile instructions: see `changeImageProcess`. */
  readonly changes?: readonly string[];
  readonly message?: string;
  /** os/arch[/variant]; default the machine's. */
  readonly platform?: string;
  readonly signal?: AbortSignal;
}

/** An image that was made here. */
export interface MadeImage {
  readonly imageId: string;
  /** In full. */
  readonly name?: string;
}

/**
 * Makes an image of one layer from the tar of a root file system. Names that a layer means as removed files (`.wh.…`) mean that here, too.
 *
 * Errors: not-found, denied, unavailable for the input; invalid for what is no tar, bad changes or a bad name; unsupported compression; exhausted; cancelled.
 */
export async function importImage(engine: Engine, options: ImportImageOptions): Promise<MadeImage> {
  const { input, changes = [], message, name, signal } = options;
  const what = typeof input === 'string' ? input : '-';
  // Before anything is read.
  const process = changeImageProcess({}, changes);
  const platform = options.platform === undefined ? wantedPlatform(undefined) : parsePlatform(options.platform);
  const { openLayerTar } = await import('../image/mod.ts');
  const store = await engine.store();
  await using layer = await openLayerTar(inputBytes(input, options.cwd ?? '/', signal), what);
  const { image, name: full } = await storeImage(store, wholeTar(layer.tar, what), {
    process,
    platform,
    created: new Date().toISOString(),
    createdBy: `import ${shownInput(what)}`,
    comment: message ?? `Imported from ${shownInput(what)}`,
    ...(name === undefined ? {} : { name }),
    ...(signal === undefined ? {} : { signal }),
  });
  emit(engine, { type: 'image', action: 'import', id: image.id, name: full ?? image.id });
  return { imageId: image.id, ...(full === undefined ? {} : { name: full }) };
}

function inputBytes(
  input: ImportImageOptions['input'],
  cwd: string,
  signal: AbortSignal | undefined,
): AsyncIterable<Uint8Array> {
  if (typeof input === 'number') return streamOf(input, signal);
  if (typeof input !== 'string') return input;
  return /^https?:\/\//i.test(input) ? download(input, signal) : fileBytes(resolve(cwd, input), signal);
}

async function* fileBytes(path: string, signal: AbortSignal | undefined): AsyncGenerator<Uint8Array, void, void> {
  try {
    // A FIFO waits for its writer: not on this thread.
    await using file = await open(path, 'r');
    yield* streamOf(file.fd, signal);
  } catch (error) {
    throw fileError(error, `import ${path}`);
  }
}

/** Redirects are followed; of what begins with https none leads to http. */
async function* download(address: string, signal: AbortSignal | undefined): AsyncGenerator<Uint8Array, void, void> {
  const failed = (state: string, cause?: unknown): TareError =>
    new TareError('unavailable', `Cannot import ${shownInput(address)}: ${state}`, { cause });
  let response: Response;
  try {
    response = await fetch(address, { redirect: 'follow', ...(signal === undefined ? {} : { signal }) });
  } catch (error) {
    if (signal?.aborted === true) throw new TareError('cancelled', 'Cannot import: it was cancelled', { cause: error });
    throw failed(messageOf((error as Error).cause ?? error), error);
  }
  if (/^https:/i.test(address) && !response.url.startsWith('https:')) throw failed('it leads to plain http');
  if (response.status === 404)
    throw new TareError('not-found', `Cannot import ${shownInput(address)}: not found (404)`);
  if (!response.ok || response.body === null) throw failed(`the server answered ${response.status}`);
  try {
    yield* response.body;
  } catch (error) {
    if (error instanceof TareError) throw error;
    throw failed(messageOf((error as Error).cause ?? error), error);
  }
}

/** Without a password. */
function shownInput(what: string): string {
  return what.replace(/^(https?:\/\/)[^/@]*@/i, '$1');
}
