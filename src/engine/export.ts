import { bytesOf } from '../archive/byte-string.ts';
import { openContainerRootfs } from './container-files.ts';
import { insideIds } from './container-ids.ts';
import { containerActor, emit } from './emit.ts';
import type { Engine } from './engine.ts';

/**
 * The root file system of a container as a tar, streamed, entries in the order of their names: what it was made from with its changes, without volumes and other mounts. Of one that
 * runs it is what is there at the time each file is read. The container is held until the stream ends.
 *
 * Errors: not-found; failed-precondition while somebody else keeps it busy; cancelled; by errno.
 */
export async function* exportContainer(
  engine: Engine,
  nameOrId: string,
  options: { readonly signal?: AbortSignal } = {},
): AsyncGenerator<Uint8Array, void, void> {
  const { treeTar } = await import('../archive/mod.ts');
  await using container = await openContainerRootfs(engine, nameOrId, 'export');
  const { record, config } = container;
  // What is hidden from a container of host: is no part of it.
  const hidden = new Set(
    record.source.kind === 'host' ? config.linux?.maskedPaths?.map((path) => bytesOf(path.slice(1))) : [],
  );
  const ids = insideIds(config);
  yield* treeTar(container.files, '', {
    mounts: 'none',
    ...(ids === undefined ? {} : { ids }),
    ...(hidden.size === 0 ? {} : { keep: (path: string) => !hidden.has(path) }),
    ...(options.signal && { signal: options.signal }),
  });
  emit(engine, { ...containerActor(record), action: 'export' });
}
