/** The table of contents of `docker save` (manifest.json of a docker-archive: Docker's image specification v1.2). */
import { invalid, parseArray } from './_document.ts';
import { MANIFEST_MAX_ENTRIES, MANIFEST_MAX_LAYERS } from './manifest.ts';

/** The longest manifest.json that is read: 1 MiB. */
export const DOCKER_ARCHIVE_MANIFEST_MAX_BYTES = 1024 * 1024;

/** An image of an archive. Paths are names in the archive, as written. */
export interface DockerArchiveImage {
  readonly configPath: string;
  /** Image references as people write them; none for an image without a name. */
  readonly repoTags: readonly string[];
  /** Base first. */
  readonly layerPaths: readonly string[];
}

/** Errors: `invalid`. */
export function parseDockerArchive(bytes: Uint8Array, what = 'manifest.json'): readonly DockerArchiveImage[] {
  return parseArray(bytes, what, DOCKER_ARCHIVE_MANIFEST_MAX_BYTES, MANIFEST_MAX_ENTRIES).map((fields) => {
    const configPath = fields.cString('Config') ?? '';
    if (configPath === '') throw invalid(what, 'an image has no Config');
    return {
      configPath,
      repoTags: fields.strings('RepoTags', MANIFEST_MAX_ENTRIES) ?? [],
      layerPaths: fields.strings('Layers', MANIFEST_MAX_LAYERS) ?? [],
    };
  });
}
