import { mapBytes, mapText } from '../sys/map.ts';
import { copiedFiles, type Files } from './chunks.ts';

/**
 * Files of the build without a copy: V8 looks at a chunk's text only for a function that is not in the cache, and once at the cache. What cannot be mapped
 * (the addon is missing) is read.
 */
export const mappedFiles: Files = {
  text: (path) =>
    orElse(
      () => mapText(path),
      () => copiedFiles.text(path),
    ),
  bytes: (path) =>
    orElse(
      () => mapBytes(path),
      () => copiedFiles.bytes(path),
    ),
};

function orElse<T>(first: () => T, second: () => T): T {
  try {
    return first();
  } catch {
    return second();
  }
}
