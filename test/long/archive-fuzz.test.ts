/** Parsers of what registries and stores hand us, with structured and with blind damage. TARE_SEED repeats a run. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { randomizer } from '../../src/archive/_tar.suite.ts';
import { hostileLayers } from '../../src/archive/_hostile.suite.ts';
import { randomTree } from '../../src/archive/_trees.suite.ts';
import { cleanPath, readTarSplit, TarReader, TarSplitWriter } from '../../src/archive/mod.ts';
import { whiteoutOf } from '../../src/archive/whiteout.ts';
import { TareError } from '../../src/base/errors.ts';
import { mediaTypes, parseDigest, parseManifest } from '../../src/spec/mod.ts';

const seed = Number(process.env['TARE_SEED'] ?? Date.now() % 1_000_000);
const random = randomizer(seed);
const pick = <T>(list: readonly T[]): T => list[random(list.length)] as T; // in bounds
const ROUNDS = 20_000;
const KINDS = ['invalid', 'unsupported', 'exhausted'];
const MAX_HEAP_BYTES = 1024 * 2 ** 20;

/** Only these kinds may come out, in a short time and with bounded memory. */
function survives(what: string, input: () => string, parse: () => void): void {
  const began = performance.now();
  try {
    parse();
  } catch (error) {
    assert.ok(
      error instanceof TareError && KINDS.includes(error.kind),
      `${what}, TARE_SEED=${seed}: ${String((error as Error).stack)}\n${input()}`,
    );
  }
  const took = performance.now() - began;
  assert.ok(took < 5000, `${what}, TARE_SEED=${seed}: ${took} ms\n${input()}`);
}

/** Damage that gets past the first check: fields of headers with their checksum made right, blocks swapped, doubled and dropped, bytes. */
function damaged(tar: Buffer): Buffer {
  let bytes = Buffer.from(tar);
  for (let n = 1 + random(4); n > 0; n--) {
    const blocks = Math.floor(bytes.length / 512);
    const at = random(blocks) * 512;
    switch (random(6)) {
      case 0:
        bytes[random(bytes.length)] = random(256);
        break;
      case 1: {
        const other = random(blocks) * 512;
        const copy = Buffer.from(bytes.subarray(at, at + 512));
        bytes.copy(bytes, at, other, other + 512);
        copy.copy(bytes, other);
        break;
      }
      case 2:
        bytes = Buffer.concat([bytes.subarray(0, at), bytes.subarray(at + 512)]);
        break;
      case 3:
        bytes = Buffer.concat([bytes.subarray(0, at + 512), bytes.subarray(at)]);
        break;
      default: {
        const [field, size] = pick([
          [0, 100],
          [100, 8],
          [108, 8],
          [124, 12],
          [136, 12],
          [156, 1],
          [157, 100],
          [257, 8],
          [329, 8],
          [345, 155],
          [386, 97],
        ] as const);
        const value = pick([
          '',
          '0',
          '7'.repeat(12),
          '\x80\0\0\0',
          '\xff'.repeat(12),
          'x',
          'L',
          'S',
          'g',
          '5',
          '../x\0',
          'ustar  \0',
        ]);
        bytes.write(value.slice(0, size), at + field, 'latin1');
        if (at + 512 > bytes.length) break;
        bytes.fill(' ', at + 148, at + 156);
        let sum = 0;
        for (let i = at; i < at + 512; i++) sum += bytes[i] ?? 0;
        bytes.write(`${sum.toString(8).padStart(6, '0')}\0 `, at + 148, 'latin1');
      }
    }
    if (bytes.length < 1024) break;
  }
  return random(5) === 0 ? bytes.subarray(0, random(bytes.length + 1)) : bytes;
}

function readAll(tar: Buffer, step: number): void {
  let contents = 0;
  const split = new TarSplitWriter();
  const reader = new TarReader({
    raw: (bytes, start, end) => split.raw(bytes, start, end),
    entry(entry) {
      whiteoutOf(cleanPath(entry.path));
      split.file(entry.path, 0);
    },
    data: (_, start, end) => void (contents += end - start),
    hole: () => {},
    endEntry: () => void split.take(),
  });
  for (let at = 0; at < tar.length; at += step) reader.write(tar.subarray(at, at + step));
  reader.end();
  split.finish();
  assert.ok(contents <= tar.length);
}

test('TarReader with PAX, GNU names and sparse maps: any damage ends in an archive or a typed error', (t) => {
  t.diagnostic(`seed ${seed}`);
  const good = [
    ...Object.values(hostileLayers('/outside')).flatMap(({ tar, big }) => (big === true ? [] : [tar()])),
    ...Array.from({ length: 30 }, (_, i) => randomTree(seed + i).tar),
  ].filter((tar) => tar.length < 300_000);
  for (let i = 0; i < ROUNDS; i++) {
    const tar = damaged(pick(good));
    const step = pick([tar.length || 1, 512, 1 + random(2000)]);
    survives(
      'TarReader',
      () => tar.toString('base64').slice(0, 20_000),
      () => readAll(tar, step),
    );
  }
  assert.ok(process.memoryUsage().heapUsed < MAX_HEAP_BYTES);
});

test('readTarSplit: any damage ends in entries or a typed error', async (t) => {
  t.diagnostic(`seed ${seed}`);
  const lines = [
    '{"type":2,"payload":"aGVhZA==","position":0}',
    '{"type":1,"name":"é","size":3,"position":2,"payload":"MTIzNDU2Nzg="}',
    '{"type":1,"name_raw":"/w==","size":2,"position":4,"payload":"LS0xMjM0NTY="}',
    '{"type":1,"name":"dir/","payload":null,"position":1}',
  ];
  const words = [
    'null',
    '-1',
    '1e400',
    '[]',
    '{}',
    '"',
    '\n',
    '\0',
    '}{',
    '"size":9007199254740993',
    '"type":3',
    '\ud800',
    '',
  ];
  for (let i = 0; i < ROUNDS; i++) {
    let text = Array.from({ length: 1 + random(4) }, () => pick(lines)).join('\n');
    for (let n = random(4); n > 0; n--) {
      const at = random(text.length);
      text = text.slice(0, at) + pick(words) + text.slice(at + random(20));
    }
    const bytes = Buffer.from(text);
    const cut = random(bytes.length + 1);
    try {
      for await (const entry of readTarSplit([bytes.subarray(0, cut), bytes.subarray(cut)]))
        if (entry.kind === 'file') assert.ok(entry.sizeBytes >= 0 && Number.isSafeInteger(entry.sizeBytes));
    } catch (error) {
      assert.ok(
        error instanceof TareError && KINDS.includes(error.kind),
        `TARE_SEED=${seed}: ${String(error)}\n${text}`,
      );
    }
  }
  // A line without an end is joined once, not with every chunk.
  const began = performance.now();
  await assert.rejects(async () => {
    for await (const _ of readTarSplit(Array.from({ length: 2000 }, () => Buffer.alloc(65_536, 'x'))));
  }, /has no end/);
  assert.ok(performance.now() - began < 5000);
});

test('parseManifest and parseDigest: any damage ends in a document or a typed error', (t) => {
  t.diagnostic(`seed ${seed}`);
  const digest = `sha256:${'ab'.repeat(32)}`;
  const descriptor = (mediaType: string): object => ({ mediaType, digest, size: 7, annotations: { a: 'b' } });
  const good = [
    {
      schemaVersion: 2,
      mediaType: mediaTypes.ociManifest,
      config: descriptor(mediaTypes.ociConfig),
      layers: [descriptor(mediaTypes.ociLayerGzip), descriptor(mediaTypes.ociLayerZstd)],
      subject: descriptor(mediaTypes.ociManifest),
      annotations: { x: 'y' },
    },
    {
      schemaVersion: 2,
      mediaType: mediaTypes.ociIndex,
      manifests: [
        { ...descriptor(mediaTypes.ociManifest), platform: { os: 'linux', architecture: 'arm', variant: 'v7' } },
      ],
    },
  ].map((document) => JSON.stringify(document));
  const words = [
    'null',
    '-1',
    '1e999',
    '[]',
    '{}',
    '"',
    '\\\\',
    '\0',
    '__proto__',
    'sha256:../..',
    'MANIFESTS',
    'manifests',
    'layers',
    'constructor',
    '\ud800',
    '[['.repeat(500),
    'true',
    ',',
    ':',
    mediaTypes.ociIndex,
    '1.5',
    '9007199254740993',
  ];
  for (let i = 0; i < ROUNDS * 2; i++) {
    let text = pick(good);
    for (let n = 1 + random(4); n > 0; n--) {
      const at = random(text.length);
      const quoted = random(2) === 0 ? pick(words) : JSON.stringify(pick(words));
      text = text.slice(0, at) + quoted + text.slice(at + random(30));
    }
    const type = pick([undefined, mediaTypes.ociManifest, mediaTypes.ociIndex, 'text/html', 'a;b']);
    survives(
      'parseManifest',
      () => text,
      () => void parseManifest(Buffer.from(text), type),
    );
    survives(
      'parseDigest',
      () => text,
      () => void parseDigest(text.slice(random(text.length), random(text.length))),
    );
  }
});
