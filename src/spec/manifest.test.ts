import assert from 'node:assert/strict';
import { test } from 'node:test';
import { TareError, isKind } from '../base/errors.ts';
import { MANIFEST_MAX_BYTES, parseManifest } from './manifest.ts';
import { mediaTypes } from './media-type.ts';

const bytes = (value: unknown): Uint8Array =>
  new TextEncoder().encode(typeof value === 'string' ? value : JSON.stringify(value));
const digest = `sha256:${'ab'.repeat(32)}`;
const config = { mediaType: mediaTypes.ociConfig, digest, size: 2 };
const layer = { mediaType: mediaTypes.ociLayerGzip, digest, size: 3, annotations: { a: 'b' } };
const image = { schemaVersion: 2, mediaType: mediaTypes.ociManifest, config, layers: [layer, layer] };
const index = {
  schemaVersion: 2,
  mediaType: mediaTypes.ociIndex,
  manifests: [
    {
      mediaType: mediaTypes.ociManifest,
      digest,
      size: 4,
      platform: { os: 'linux', architecture: 'arm64', variant: 'v8' },
    },
  ],
};
const refused = (value: unknown, message: RegExp, contentType?: string): void =>
  assert.throws(
    () => parseManifest(bytes(value), contentType),
    (error) => isKind(error, 'invalid') && message.test(error.message),
    JSON.stringify(value)?.slice(0, 200),
  );

test('parseManifest() reads OCI and Docker manifests, layers base first and repeated', () => {
  const parsed = parseManifest(bytes(image), mediaTypes.ociManifest);
  assert.equal(parsed.kind, 'manifest');
  assert.deepEqual(parsed.kind === 'manifest' && parsed.layers, [layer, layer]);
  assert.equal(
    parseManifest(
      bytes({ ...image, mediaType: mediaTypes.dockerManifest }),
      `${mediaTypes.dockerManifest}; charset=utf-8`,
    ).kind,
    'manifest',
  );
});

test('parseManifest() reads OCI and Docker indexes with normal platforms', () => {
  const parsed = parseManifest(bytes(index), mediaTypes.ociIndex);
  assert.deepEqual(parsed.kind === 'index' && parsed.manifests[0]?.platform, { os: 'linux', architecture: 'arm64' });
  assert.equal(
    parseManifest(bytes({ ...index, mediaType: mediaTypes.dockerList }), mediaTypes.dockerList).kind,
    'index',
  );
});

test('parseManifest() lets OCI leave mediaType out, Docker not', () => {
  const { mediaType: _, ...bare } = image;
  assert.equal(parseManifest(bytes(bare)).mediaType, mediaTypes.ociManifest);
  assert.equal(parseManifest(bytes(bare), 'text/plain').mediaType, mediaTypes.ociManifest);
  assert.equal(parseManifest(bytes({ schemaVersion: 2, manifests: [] })).kind, 'index');
  refused(bare, /mediaType is missing/, mediaTypes.dockerManifest);
  refused(bare, /config does not belong/, mediaTypes.ociIndex);
});

test('parseManifest() refuses a document that disagrees with its sender or with itself (CVE-2021-41190)', () => {
  refused(image, /sent as/, mediaTypes.ociIndex);
  refused({ ...image, mediaType: mediaTypes.dockerManifest }, /sent as/, mediaTypes.ociManifest);
  refused({ ...image, manifests: index.manifests }, /manifests does not belong/);
  refused({ ...index, layers: [] }, /layers does not belong/);
  refused({ ...index, config }, /config does not belong/);
  refused({ ...image, fsLayers: [] }, /fsLayers does not belong/);
  refused({ ...image, Manifests: index.manifests }, /second spelling of manifests/);
  refused({ ...index, CONFIG: config }, /second spelling of config/);
  refused({ ...image, mediaType: 'application/json' }, /neither an image manifest/);
  refused({ ...image, mediaType: 'toString' }, /neither an image manifest/);
});

test('parseManifest() refuses wrong digests, sizes and shapes', () => {
  for (const size of [-1, 1.5, 2 ** 53, '3', null])
    refused({ ...image, layers: [{ ...layer, size }] }, /layers\[0\]\.size/);
  for (const bad of ['', 'sha256:ab', `sha256:${'AB'.repeat(32)}`, '../../etc', 7])
    refused({ ...image, config: { ...config, digest: bad } }, /config\.digest/);
  refused({ ...image, config: { ...config, mediaType: 'x y' } }, /not a media type/);
  refused({ ...image, layers: {} }, /layers is not an array/);
  refused({ ...image, config: [] }, /config is not an object/);
  refused({ ...image, layers: Array(501).fill(layer) }, /more than 500/);
  refused({ ...image, schemaVersion: 3 }, /schemaVersion/);
  for (const text of ['', 'null', '[]', '7', '{', '\ufeff{}', '{}garbage']) refused(text, /Cannot use manifest/);
  refused(
    new TextDecoder().decode(bytes(image)).replace('{', `{"x":"${'y'.repeat(MANIFEST_MAX_BYTES)}",`),
    /longer than/,
  );
  assert.throws(() => parseManifest(Uint8Array.of(0x7b, 0x22, 0xff, 0x22, 0x7d)), /not JSON/);
  assert.throws(
    () => parseManifest(bytes({ schemaVersion: 1, fsLayers: [] })),
    (error) => isKind(error, 'unsupported'),
  );
});

test('parseManifest() takes nothing from the prototype, and a key __proto__ changes nothing', () => {
  const text = JSON.stringify(image).replace('"a":"b"', '"__proto__":"p","constructor":"c"');
  const parsed = parseManifest(bytes(text));
  assert.ok(parsed.kind === 'manifest');
  const annotations = parsed.layers[0]?.annotations ?? {};
  assert.equal(Object.getPrototypeOf(annotations), Object.prototype);
  assert.equal(Object.hasOwn(annotations, '__proto__'), true);
});

test('parseManifest() on 20,000 damaged documents: a manifest that holds to its types, or a TareError', () => {
  const good = [bytes(image), bytes(index)];
  let x = 11;
  const next = (n: number): number => (x = (x * 1103515245 + 12345) & 0x7fffffff) % n;
  const tokens = [
    '"',
    '{',
    '}',
    '[',
    ']',
    ':',
    ',',
    'null',
    '-1',
    '1e999',
    '"manifests":[],',
    '"layers":null,',
    '"schemaVersion":2,',
    '\u0000',
  ];
  for (let i = 0; i < 20_000; i++) {
    let text = new TextDecoder().decode(good[i % 2]);
    for (let n = 1 + next(3); n > 0; n--) {
      const at = next(text.length);
      text = text.slice(0, at) + (next(3) === 0 ? '' : tokens[next(tokens.length)]) + text.slice(at + next(4));
    }
    try {
      const parsed = parseManifest(bytes(text));
      const all = parsed.kind === 'index' ? parsed.manifests : [parsed.config, ...parsed.layers];
      for (const d of all) assert.ok(Number.isSafeInteger(d.size) && d.size >= 0 && d.digest.length === 71, text);
    } catch (error) {
      assert.ok(error instanceof TareError, `${String(error)}: ${text}`);
    }
  }
  assert.throws(
    () => parseManifest(bytes('['.repeat(MANIFEST_MAX_BYTES))),
    (error) => isKind(error, 'invalid'),
  );
});
