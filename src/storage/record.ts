import { TareError } from '../base/errors.ts';
import type { Digest, DiffId, ImageId } from '../spec/digest.ts';

/** A record as it is in the file. Keys we do not know stay as they are. */
export type RawRecord = Record<string, unknown>;

/** One record of layers.json, images.json or containers.json (or its volatile twin). */
export interface Row {
  readonly id: string;
  readonly raw: RawRecord;
  /** It lives in the volatile file: gone after a crash of the machine, never synced. */
  readonly volatile: boolean;
}

/** An image, as others see it. */
export interface ImageRecord {
  readonly id: ImageId;
  /** Of its manifest. */
  readonly digest?: Digest;
  /** All manifest digests it is known by, `digest` first. */
  readonly digests: readonly Digest[];
  /** Fully qualified, `registry/path:tag`. */
  readonly names: readonly string[];
  /** Every name it ever had here, newest first. */
  readonly namesHistory: readonly string[];
  /** Its topmost layer; none for an image without layers. */
  readonly layer?: string;
  /** RFC 3339. */
  readonly created: string;
  readonly bigDataNames: readonly string[];
}

/** A container in the store: a record and a writable layer. */
export interface ContainerRecord {
  readonly id: string;
  readonly names: readonly string[];
  readonly imageId: string;
  readonly layer: string;
  /** The creator's own, mostly JSON. */
  readonly metadata: string;
  readonly created: string;
  readonly volatile: boolean;
}

/** A layer. */
export interface LayerRecord {
  readonly id: string;
  readonly parent?: string;
  readonly names: readonly string[];
  readonly created: string;
  readonly compressedDigest?: Digest;
  readonly compressedSizeBytes?: number;
  readonly diffId?: DiffId;
  /** Of the uncompressed tar. */
  readonly sizeBytes?: number;
  readonly volatile: boolean;
}

const idPattern = /^[0-9a-f]{64}$/;

/** True for the 64 lower-case hex digits that ids of all kinds are: only such become part of a path. */
export function isId(text: unknown): text is string {
  return typeof text === 'string' && idPattern.test(text);
}

/** Errors: `invalid`. */
export function requireId(text: string, what: string): string {
  if (!isId(text))
    throw new TareError(
      'invalid',
      `Cannot use ${what} ${JSON.stringify(text)}: an id is 64 lower-case hexadecimal digits`,
    );
  return text;
}

export function text(raw: RawRecord, key: string): string | undefined {
  const value = raw[key];
  return typeof value === 'string' && value !== '' ? value : undefined;
}

export function number(raw: RawRecord, key: string): number | undefined {
  const value = raw[key];
  return typeof value === 'number' && Number.isSafeInteger(value) ? value : undefined;
}

export function texts(raw: RawRecord, key: string): readonly string[] {
  const value = raw[key];
  return Array.isArray(value) ? value.filter((item) => typeof item === 'string') : [];
}

export function object(raw: RawRecord, key: string): RawRecord {
  const value = raw[key];
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as RawRecord) : {};
}

/** A layer whose writer has not finished, or whose deletion has begun: of no use to anybody. */
export function isIncomplete(row: Row): boolean {
  return object(row.raw, 'flags')['incomplete'] === true;
}

const digestPattern = /^(?:sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128})$/;
const digestOf = (value: unknown): Digest | undefined =>
  typeof value === 'string' && digestPattern.test(value) ? (value as Digest) : undefined;

export function imageOf({ id, raw }: Row): ImageRecord {
  const digest = digestOf(raw['digest']);
  const layer = text(raw, 'layer');
  const digests = new Set<Digest>(digest === undefined ? [] : [digest]);
  for (const [key, value] of Object.entries(object(raw, 'big-data-digests'))) {
    const other = digestOf(value);
    if (key.startsWith('manifest') && other !== undefined) digests.add(other);
  }
  return {
    id: id as ImageId,
    ...(digest === undefined ? {} : { digest }),
    digests: [...digests],
    names: texts(raw, 'names'),
    namesHistory: texts(raw, 'names-history'),
    ...(layer === undefined ? {} : { layer }),
    created: text(raw, 'created') ?? '',
    bigDataNames: texts(raw, 'big-data-names'),
  };
}

export function containerOf({ id, raw, volatile }: Row): ContainerRecord {
  return {
    id,
    names: texts(raw, 'names'),
    imageId: text(raw, 'image') ?? '',
    layer: text(raw, 'layer') ?? '',
    metadata: text(raw, 'metadata') ?? '',
    created: text(raw, 'created') ?? '',
    volatile: volatile || object(raw, 'flags')['Volatile'] === true,
  };
}

export function layerOf({ id, raw, volatile }: Row): LayerRecord {
  const parent = text(raw, 'parent');
  const compressedDigest = digestOf(raw['compressed-diff-digest']);
  const compressedSizeBytes = number(raw, 'compressed-size');
  const diffId = digestOf(raw['diff-digest']);
  const sizeBytes = number(raw, 'diff-size');
  return {
    id,
    ...(parent === undefined ? {} : { parent }),
    names: texts(raw, 'names'),
    created: text(raw, 'created') ?? '',
    ...(compressedDigest === undefined ? {} : { compressedDigest }),
    ...(compressedSizeBytes === undefined ? {} : { compressedSizeBytes }),
    ...(diffId === undefined ? {} : { diffId: diffId as string as DiffId }),
    ...(sizeBytes === undefined ? {} : { sizeBytes }),
    volatile,
  };
}
