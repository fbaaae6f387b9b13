import type { ImageSummary } from '../engine/list-images.ts';
import { hasLabel } from '../engine/has-label.ts';
import { type Filters, filterSwitch } from './filters.ts';
import { splitName } from './image-row.ts';
import { UsageError } from './usage-error.ts';
import { parseTime } from './values.ts';

/** The keys of `images --filter`. */
export const imageFilterKeys = [
  'dangling',
  'reference',
  'before',
  'since',
  'until',
  'label',
  'label!',
  'id',
  'intermediate',
  'readonly',
] as const;

/** What completion offers for `images --filter`. */
export const imageFilterOffers: readonly string[] = [
  ...imageFilterKeys.map((key) => `${key}=`),
  ...['dangling', 'intermediate', 'readonly'].flatMap((key) => [`${key}=true`, `${key}=false`]),
];

/** How `images --sort` orders. */
export const imageSorts = ['created', 'id', 'repository', 'size', 'tag'] as const;

/**
 * The images that pass. Values of one key are alternatives, except labels, which must all be there (and none of `label!`); keys must all pass. `before` and `since` name
 * an image and compare times of making, `until` compares with a time. Errors: UsageError for a bad value, or a reference image that is not there.
 */
export function filterImages(images: readonly ImageSummary[], filters: Filters, nowMs: number): ImageSummary[] {
  const checks = [...filters].map(([key, values]): Test => {
    const tests = values.map((value) => testOf(images, key, value, nowMs));
    return key.startsWith('label')
      ? (image) => tests.every((test) => test(image))
      : (image) => tests.some((test) => test(image));
  });
  return images.filter((image) => checks.every((check) => check(image)));
}

type Test = (image: ImageSummary) => boolean;

function testOf(images: readonly ImageSummary[], key: string, value: string, nowMs: number): Test {
  switch (key) {
    case 'dangling': {
      const wanted = filterSwitch(key, value);
      return (image) => isDangling(image) === wanted;
    }
    case 'intermediate': {
      const wanted = filterSwitch(key, value);
      return (image) => image.isIntermediate === wanted;
    }
    case 'readonly': {
      // Images of further, read-only stores are not looked at.
      const wanted = filterSwitch(key, value);
      return () => !wanted;
    }
    case 'reference':
      return (image) => isNamed(image, value);
    case 'before':
    case 'since': {
      const time = timeOfImage(images, key, value);
      return ({ createdAt }) => (key === 'before' ? Date.parse(createdAt) < time : Date.parse(createdAt) > time);
    }
    case 'until': {
      const time = Date.parse(parseTime('--filter until=', value, nowMs));
      return ({ createdAt }) => Date.parse(createdAt) < time;
    }
    case 'label':
      return ({ labels }) => hasLabel(labels, value);
    case 'label!':
      return ({ labels }) => !hasLabel(labels, value);
    default:
      return ({ id }) => id.startsWith(value.replace(/^sha256:/, ''));
  }
}

/** It has no name and nothing is made of it: nobody misses it. */
export function isDangling(image: ImageSummary): boolean {
  return image.names.length === 0 && !image.isIntermediate;
}

function timeOfImage(images: readonly ImageSummary[], key: string, wanted: string): number {
  const found = images.find((image) => image.id.startsWith(wanted.replace(/^sha256:/, '')) || isNamed(image, wanted));
  if (found === undefined) throw new UsageError(`Cannot use --filter ${key}=${wanted}: there is no such image`);
  return Date.parse(found.createdAt);
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
