import type { ImageSummary } from '../engine/list-images.ts';
import type { Filters } from './format.ts';
import { splitName } from './image-row.ts';
import { UsageError } from './usage-error.ts';

/** The keys of `images --filter`. */
export const imageFilterKeys = ['dangling', 'reference', 'before', 'since', 'label', 'id'] as const;

/** How `images --sort` orders. */
export const imageSorts = ['created', 'id', 'repository', 'size', 'tag'] as const;

/**
 * The images that pass. Values of one key are alternatives, except labels, which must all be there; keys must all pass. `before` and `since` name an image and compare times of
 * making. Errors: UsageError for a bad value, or a reference image that is not there.
 */
export function filterImages(images: readonly ImageSummary[], filters: Filters): ImageSummary[] {
  const timeOf = (key: string, wanted: string): number => {
    const found = images.find((image) => image.id.startsWith(wanted) || isNamed(image, wanted));
    if (found === undefined) throw new UsageError(`Cannot use --filter ${key}=${wanted}: there is no such image`);
    return Date.parse(found.createdAt);
  };
  const tests: Record<string, (value: string) => (image: ImageSummary) => boolean> = {
    dangling(value) {
      if (!/^(true|false|1|0)$/.test(value))
        throw new UsageError(`Cannot use --filter dangling=${value}: expected true or false`);
      const wanted = value === 'true' || value === '1';
      return (image) => (image.names.length === 0) === wanted;
    },
    reference: (value) => (image) => isNamed(image, value),
    before(value) {
      const time = timeOf('before', value);
      return (image) => Date.parse(image.createdAt) < time;
    },
    since(value) {
      const time = timeOf('since', value);
      return (image) => Date.parse(image.createdAt) > time;
    },
    label: (value) => (image) => hasLabel(image, value),
    id: (value) => (image) => image.id.startsWith(value.replace(/^sha256:/, '')),
  };
  const checks = [...filters].map(([key, values]) => {
    const alternatives = values.map((value) => tests[key]?.(value) ?? (() => false));
    return (image: ImageSummary): boolean =>
      key === 'label' ? alternatives.every((test) => test(image)) : alternatives.some((test) => test(image));
  });
  return images.filter((image) => checks.every((check) => check(image)));
}

/** Whether an image is meant by a name: with or without registry, path before the last parts, and tag; `*` and `?` stand for characters other than a slash. */
export function isNamed(image: ImageSummary, wanted: string): boolean {
  const pattern = new RegExp(
    `^(?:.*/)?${wanted
      .replace(/[.+^${}()|[\]\\]/g, '\\$&')
      .replaceAll('*', '[^/]*')
      .replaceAll('?', '[^/]')}$`,
  );
  return image.names.some((name) => {
    const { Repository, Tag } = splitName(name);
    return [name, Repository, `${Repository}:${Tag}`].some((form) => pattern.test(form));
  });
}

function hasLabel(image: ImageSummary, wanted: string): boolean {
  const equals = wanted.indexOf('=');
  const key = equals < 0 ? wanted : wanted.slice(0, equals);
  if (!Object.hasOwn(image.labels, key)) return false;
  return equals < 0 || image.labels[key] === wanted.slice(equals + 1);
}
