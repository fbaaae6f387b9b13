import type { ImageSummary } from '../engine/images.ts';
import { ago, humanSize } from './human.ts';

/** Headings of `images` where they differ from the field's name. */
export const imageHeadings = { ID: 'IMAGE ID', CreatedSince: 'CREATED', CreatedAt: 'CREATED AT' } as const;

/** The columns of `images`. */
export const imageColumns = ['Repository', 'Tag', 'ID', 'CreatedSince', 'Size'] as const;

/** An image as `images` shows it, one row for each of its names: docker's template fields. */
export function imageRows(image: ImageSummary, nowMs: number, full: boolean): Readonly<Record<string, string>>[] {
  const names = image.names.length === 0 ? [undefined] : image.names;
  return names.map((name) => ({
    ...splitName(name),
    ID: full ? `sha256:${image.id}` : image.id.slice(0, 12),
    Digest: image.digest === '' ? '<none>' : image.digest,
    CreatedAt: image.createdAt,
    CreatedSince: ago(image.createdAt, nowMs),
    Size: humanSize(image.sizeBytes),
  }));
}

function splitName(name: string | undefined): { readonly Repository: string; readonly Tag: string } {
  if (name === undefined) return { Repository: '<none>', Tag: '<none>' };
  const [plain = ''] = name.split('@', 1);
  const colon = plain.lastIndexOf(':');
  if (colon <= plain.lastIndexOf('/')) return { Repository: plain, Tag: '<none>' };
  return { Repository: plain.slice(0, colon), Tag: plain.slice(colon + 1) };
}

/** Whether an image is meant by what follows `images`: a repository, with or without registry and tag. */
export function isNamed(image: ImageSummary, wanted: string): boolean {
  return image.names.some((name) => {
    const { Repository, Tag } = splitName(name);
    return [name, Repository, `${Repository}:${Tag}`].some((form) => form === wanted || form.endsWith(`/${wanted}`));
  });
}
