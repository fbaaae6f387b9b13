/** Content descriptors (image-spec descriptor.md). */
import type { Fields } from './_document.ts';
import { isDigest, type Digest } from './digest.ts';
import { normalPlatform, type Platform } from './platform.ts';

/** Points at bytes: what they are, their digest and their exact number. */
export interface Descriptor {
  readonly mediaType: string;
  readonly digest: Digest;
  /** Bytes of the content, exactly. */
  readonly size: number;
  readonly annotations?: Readonly<Record<string, string>>;
  readonly platform?: Platform;
  readonly artifactType?: string;
}

/** The descriptor in `fields`. Unknown fields, `urls` and `data` are left out. Errors: `invalid`. */
export function descriptorOf(fields: Fields): Descriptor {
  const mediaType = fields.string('mediaType') ?? '';
  if (!/^[\w.+-]+\/[\w.+-]+$/.test(mediaType) || mediaType.length > 255)
    fields.fail('mediaType', 'is not a media type');
  const digest = fields.string('digest') ?? '';
  if (!isDigest(digest)) fields.fail('digest', 'is not a sha256, sha384 or sha512 digest');
  const size = fields.integer('size', 0, Number.MAX_SAFE_INTEGER);
  if (size === undefined) fields.fail('size', 'is missing');
  const annotations = fields.stringMap('annotations');
  const artifactType = fields.string('artifactType');
  const platform = fields.object('platform');
  return {
    mediaType,
    digest,
    size,
    ...(annotations && { annotations }),
    ...(artifactType !== undefined && { artifactType }),
    ...(platform && { platform: platformOf(platform) }),
  };
}

function platformOf(fields: Fields): Platform {
  return normalPlatform(fields.string('os') ?? '', fields.string('architecture') ?? '', fields.string('variant'));
}
