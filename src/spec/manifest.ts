/** Image manifests and indexes: OCI and Docker schema 2 (image-spec manifest.md, image-index.md; distribution manifest-v2-2). */
import { TareError } from '../base/errors.ts';
import { parseObject, shown, type Fields } from './_document.ts';
import { descriptorOf, type Descriptor } from './descriptor.ts';
import { bareMediaType, mediaTypes } from './media-type.ts';

/** The longest manifest or index that is read: 4 MiB. */
export const MANIFEST_MAX_BYTES = 4 * 1024 * 1024;
/** The most entries of an index. */
export const MANIFEST_MAX_ENTRIES = 1000;
/** The most layers of an image: overlayfs stacks no more. */
export const MANIFEST_MAX_LAYERS = 500;

/** One image (or one artifact in the same form: see `config.mediaType`). */
export interface ImageManifest {
  readonly kind: 'manifest';
  readonly mediaType: string;
  readonly config: Descriptor;
  /** Base first. One layer may appear more than once. */
  readonly layers: readonly Descriptor[];
  readonly artifactType?: string;
  readonly subject?: Descriptor;
  readonly annotations: Readonly<Record<string, string>>;
}

/** Several images, mostly one for each platform. */
export interface ImageIndex {
  readonly kind: 'index';
  readonly mediaType: string;
  readonly manifests: readonly Descriptor[];
  readonly annotations: Readonly<Record<string, string>>;
}

export type Manifest = ImageManifest | ImageIndex;

const kinds: Readonly<Record<string, Manifest['kind']>> = {
  [mediaTypes.ociManifest]: 'manifest',
  [mediaTypes.dockerManifest]: 'manifest',
  [mediaTypes.ociIndex]: 'index',
  [mediaTypes.dockerList]: 'index',
};

/** The fields that say what a document is. Go programs match them in any case, so another spelling would let one document be two things. */
const telling = ['schemaVersion', 'mediaType', 'manifests', 'config', 'layers', 'fsLayers', 'history', 'subject'];

/**
 * The manifest or index in `bytes`. `contentType` is what the registry or the descriptor says it is; the document has to agree, and a document that could be read
 * as both a manifest and an index is refused (CVE-2021-41190).
 *
 * Errors: `invalid`; `unsupported` for Docker's schema 1.
 */
export function parseManifest(bytes: Uint8Array, contentType?: string, what = 'manifest'): Manifest {
  const fields = parseObject(bytes, what, MANIFEST_MAX_BYTES);
  refuseOtherSpellings(fields);
  const mediaType = typeOf(fields, contentType, what);
  const kind = Object.hasOwn(kinds, mediaType) ? kinds[mediaType] : undefined;
  const annotations = fields.stringMap('annotations') ?? {};
  if (kind === 'index') {
    for (const key of ['config', 'layers', 'fsLayers', 'history'])
      if (fields.has(key)) fields.fail(key, 'does not belong in an index');
    const manifests = fields.objects('manifests', MANIFEST_MAX_ENTRIES) ?? fields.fail('manifests', 'is missing');
    return { kind, mediaType, manifests: manifests.map(descriptorOf), annotations };
  }
  if (kind === 'manifest') {
    for (const key of ['manifests', 'fsLayers', 'history'])
      if (fields.has(key)) fields.fail(key, 'does not belong in an image manifest');
    const config = fields.object('config') ?? fields.fail('config', 'is missing');
    const layers = fields.objects('layers', MANIFEST_MAX_LAYERS) ?? fields.fail('layers', 'is missing');
    const subject = fields.object('subject');
    const artifactType = fields.string('artifactType');
    return {
      kind,
      mediaType,
      config: descriptorOf(config),
      layers: layers.map(descriptorOf),
      ...(artifactType !== undefined && { artifactType }),
      ...(subject && { subject: descriptorOf(subject) }),
      annotations,
    };
  }
  return fields.fail('mediaType', `is ${shown(mediaType)}, neither an image manifest nor an index`);
}

function refuseOtherSpellings(fields: Fields): void {
  for (const key of fields.keys()) {
    const proper = telling.find((name) => name.toLowerCase() === key.toLowerCase());
    if (proper !== undefined && proper !== key) fields.fail(shown(key), `is a second spelling of ${proper}`);
  }
}

/** The media type that the document and its sender agree on. */
function typeOf(fields: Fields, contentType: string | undefined, what: string): string {
  const version = fields.integer('schemaVersion', 0, 1000);
  if (version === 1)
    throw new TareError(
      'unsupported',
      `Cannot use ${what}: it is Docker's schema 1, which registries stopped serving; push the image again with a current tool`,
    );
  if (version !== 2) fields.fail('schemaVersion', 'is not 2');
  const told = contentType === undefined ? '' : bareMediaType(contentType);
  const stated = fields.string('mediaType') ?? '';
  // A sender that names no manifest type (application/json, text/plain, nothing) says nothing.
  const toldKnown = Object.hasOwn(kinds, told);
  if (stated !== '') {
    if (toldKnown && told !== stated) fields.fail('mediaType', `is ${shown(stated)}, but it was sent as ${told}`);
    return stated;
  }
  if (toldKnown) {
    if (told !== mediaTypes.ociManifest && told !== mediaTypes.ociIndex)
      fields.fail('mediaType', `is missing, which ${told} requires`);
    return told;
  }
  return fields.has('manifests') ? mediaTypes.ociIndex : mediaTypes.ociManifest;
}
