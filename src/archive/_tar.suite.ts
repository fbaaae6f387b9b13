import { formatPax } from './pax.ts';
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

/** The same header with other bytes at `at`, and the checksum made right again. `block` is where the header begins. */
export function patched(header: Uint8Array, at: number, bytes: string | Buffer, block = 0): Buffer {
  const result = Buffer.from(header);
  (typeof bytes === 'string' ? Buffer.from(bytes, 'latin1') : bytes).copy(result, block + at);
  result.fill(' ', block + 148, block + 156);
  let sum = 0;
  for (let i = block; i < block + 512; i++) sum += result[i] ?? 0;
  result.write(`${sum.toString(8).padStart(6, '0')}\0 `, block + 148, 'latin1');
  return result;
}

/** An entry of any type with any body, as no TarInput can say it. */
export function rawEntry(type: string, body: Uint8Array | string = '', path = 'special'): Buffer {
  const bytes = typeof body === 'string' ? Buffer.from(body, 'latin1') : body;
  const header = patched(tarHeader({ path, kind: 'file', sizeBytes: bytes.length }), 156, type);
  return Buffer.concat([header, bytes, tarPadding(bytes.length)]);
}

/** A PAX header, of type g for a global one. */
export function paxEntry(records: readonly (readonly [string, string])[], type = 'x'): Buffer {
  return rawEntry(type, formatPax(records));
}

/** Parts of an archive and its end. */
export function joined(...parts: readonly Uint8Array[]): Buffer {
  return Buffer.concat([...parts, TAR_END]);
}

/** A file of an old GNU archive with holes: four runs fit the header, 21 each further block. */
export function oldGnuSparse(path: string, runs: readonly (readonly [number, string])[], sizeBytes: number): Buffer {
  const field = (value: number): Buffer => Buffer.from(`${value.toString(8).padStart(11, '0')}\0`);
  const places = runs.map(([offset, content]) => Buffer.concat([field(offset), field(content.length)]));
  const content = Buffer.from(runs.map(([, text]) => text).join(''), 'latin1');
  const blocks = [];
  for (let i = 4; i < places.length; i += 21) {
    const block = Buffer.alloc(512);
    Buffer.concat(places.slice(i, i + 21)).copy(block);
    block[504] = i + 21 < places.length ? 1 : 0;
    blocks.push(block);
  }
  let header = tarHeader({ path, kind: 'file', sizeBytes: content.length });
  header = patched(header, 156, 'S');
  header = patched(header, 257, 'ustar  \0');
  header = patched(header, 345, Buffer.alloc(155));
  header = patched(header, 386, Buffer.concat(places.slice(0, 4)));
  header = patched(header, 482, Buffer.from([places.length > 4 ? 1 : 0]));
  header = patched(header, 483, field(sizeBytes));
  return Buffer.concat([header, ...blocks, content, tarPadding(content.length)]);
}

/** A file with holes in one of GNU's PAX forms. */
export function paxSparse(
  form: '0.0' | '0.1' | '1.0',
  path: string,
  runs: readonly (readonly [number, string])[],
  sizeBytes: number,
): Buffer {
  const content = runs.map(([, text]) => text).join('');
  const pairs = runs.flatMap(([offset, text]) => [offset, text.length]);
  if (form === '1.0') {
    const map = Buffer.from(`${[runs.length, ...pairs].join('\n')}\n`);
    const body = Buffer.concat([map, tarPadding(map.length), Buffer.from(content, 'latin1')]);
    return Buffer.concat([
      paxEntry([
        ['GNU.sparse.major', '1'],
        ['GNU.sparse.minor', '0'],
        ['GNU.sparse.name', path],
        ['GNU.sparse.realsize', String(sizeBytes)],
      ]),
      rawEntry('0', body, 'GNUSparseFile.0/x'),
    ]);
  }
  if (form === '0.1')
    return Buffer.concat([
      paxEntry([
        ['GNU.sparse.size', String(sizeBytes)],
        ['GNU.sparse.numblocks', String(runs.length)],
        ['GNU.sparse.name', path],
        ['GNU.sparse.map', pairs.join(',')],
      ]),
      rawEntry('0', content, 'GNUSparseFile.0/x'),
    ]);
  const repeated = runs.flatMap(([offset, text]): [string, string][] => [
    ['GNU.sparse.offset', String(offset)],
    ['GNU.sparse.numbytes', String(text.length)],
  ]);
  return Buffer.concat([
    paxEntry([['GNU.sparse.size', String(sizeBytes)], ['GNU.sparse.numblocks', String(runs.length)], ...repeated]),
    rawEntry('0', content, path),
  ]);
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
