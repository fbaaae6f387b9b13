import { TAR_END, tarHeader, type TarInput, tarPadding } from './tar-writer.ts';

/** Builds a tar of these entries for tests; `content` gives a file its size. */
export function makeTar(
  entries: readonly (TarInput & { readonly content?: string | Uint8Array })[],
  end = true,
): Buffer {
  const parts: Uint8Array[] = [];
  for (const entry of entries) {
    const content = typeof entry.content === 'object' ? entry.content : Buffer.from(entry.content ?? '');
    parts.push(tarHeader({ ...entry, sizeBytes: content.length }), content, tarPadding(content.length));
  }
  if (end) parts.push(TAR_END);
  return Buffer.concat(parts);
}

/** A deterministic stream of numbers in [0, n), for property tests that can be repeated. */
export function randomizer(seed: number): (n: number) => number {
  let state = seed >>> 0 || 1;
  return (n) => {
    state ^= state << 13;
    state >>>= 0;
    state ^= state >>> 17;
    state ^= state << 5;
    state >>>= 0;
    return state % n;
  };
}
