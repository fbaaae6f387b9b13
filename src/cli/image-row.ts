import type { ImageSummary } from '../engine/list-images.ts';
import { ago, humanSize } from './human.ts';
import { labelOf, labelsShown } from './labels.ts';
import type { Row } from './rows.ts';
import { Shown } from './template/shown.ts';

/** Headings of `images` where they differ from the field's name. */
export const imageHeadings = { ID: 'IMAGE ID', CreatedSince: 'CREATED', CreatedAt: 'CREATED AT' } as const;

/** The columns of `images`. */
export const imageColumns = ['Repository', 'Tag', 'ID', 'CreatedSince', 'Size'] as const;

/** An image as `images` shows it, one row for each of its names: docker's template fields, and podman's. */
export function imageRows(image: ImageSummary, nowMs: number, full: boolean): Row[] {
  const names = image.names.length === 0 ? [undefined] : image.names;
  return names.map((name) => {
    const row = {
      ...splitName(name),
      ID: full ? `sha256:${image.id}` : image.id.slice(0, 12),
      Digest: image.digest === '' ? '<none>' : image.digest,
      CreatedAt: image.createdAt,
      CreatedSince: ago(image.createdAt, nowMs),
      Created: ago(image.createdAt, nowMs),
      Size: humanSize(image.sizeBytes),
      VirtualSize: humanSize(image.sizeBytes),
      Containers: String(image.containers),
      Names: new Shown(image.names.join(','), image.names),
      Dangling: image.names.length === 0,
      ReadOnly: false,
    };
    // Each costs a file: only for templates that name them.
    return Object.defineProperties(row, {
      Labels: { get: () => labelsShown(image.labels) },
      Label: { get: () => (key: unknown) => labelOf(image.labels, key) },
    });
  });
}

/** An image as `images --format json` prints it: podman's fields. */
export function imageJson(image: ImageSummary): object {
  const labels = image.labels;
  return {
    Id: image.id,
    ParentId: '',
    RepoTags: null,
    RepoDigests: image.repoDigests,
    Size: image.sizeBytes,
    SharedSize: 0,
    VirtualSize: image.sizeBytes,
    Labels: Object.keys(labels).length === 0 ? null : labels,
    Containers: image.containers,
    ...(image.names.length === 0 ? { Dangling: true } : { Names: image.names }),
    Digest: image.digest,
    History: image.namesHistory,
    Created: Math.floor(Date.parse(image.createdAt) / 1000),
    CreatedAt: image.createdAt,
  };
}

/** `registry/path` and tag of a name. */
export function splitName(name: string | undefined): { readonly Repository: string; readonly Tag: string } {
  if (name === undefined) return { Repository: '<none>', Tag: '<none>' };
  const [plain = ''] = name.split('@', 1);
  const colon = plain.lastIndexOf(':');
  if (colon <= plain.lastIndexOf('/')) return { Repository: plain, Tag: '<none>' };
  return { Repository: plain.slice(0, colon), Tag: plain.slice(colon + 1) };
}
