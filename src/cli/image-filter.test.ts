import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ImageSummary } from '../engine/list-images.ts';
import { parseFilters } from './filters.ts';
import { filterImages, imageFilterKeys, isNamed } from './image-filter.ts';
import { UsageError } from './usage-error.ts';

const image = (
  id: string,
  names: readonly string[],
  day: number,
  labels: Record<string, string> = {},
): ImageSummary => ({
  id: id.repeat(64).slice(0, 64),
  names,
  repoDigests: [],
  namesHistory: names,
  digest: '',
  createdAt: `2026-01-0${day}T00:00:00Z`,
  sizeBytes: 1,
  labels,
  containers: 0,
  isIntermediate: id === 'e',
});

const images = [
  image('c', ['quay.io/team/tool:1.0', 'localhost/tool:latest'], 3, { app: 'web', tier: 'front' }),
  image('b', ['docker.io/library/busybox:latest'], 2, { app: 'db' }),
  image('a', [], 1),
];

const ids = (...given: string[]): string =>
  filterImages(images, parseFilters(given, imageFilterKeys), Date.parse('2026-01-04T00:00:00Z'))
    .map(({ id }) => id[0])
    .join('');

test('filterImages: values of a key are alternatives, keys and labels must all pass', () => {
  assert.equal(ids(), 'cba');
  assert.equal(ids('dangling=true'), 'a');
  assert.equal(ids('dangling=false'), 'cb');
  assert.equal(ids('id=b', 'id=sha256:aaaa'), 'ba');
  assert.equal(ids('label=app'), 'cb');
  assert.equal(ids('label=app=web', 'label=tier'), 'c');
  assert.equal(ids('label=app=web', 'label=tier=back'), '');
  assert.equal(ids('reference=busybox', 'reference=tool:1.0'), 'cb');
  assert.equal(ids('reference=tool', 'dangling=true'), '');
  assert.equal(ids('before=quay.io/team/tool:1.0'), 'ba');
  assert.equal(ids('since=busybox'), 'c');
  assert.equal(ids('since=aaa', 'before=ccc'), 'b');
});

test('filterImages: refuses bad values and images that are not there', () => {
  for (const bad of ['dangling=maybe', 'since=nope', 'before=nope']) assert.throws(() => ids(bad), UsageError);
  assert.throws(() => ids('colour=red'), UsageError);
  assert.equal(ids('label=toString'), '');
});

test('isNamed: by last parts, with or without tag, with wildcards inside a part', () => {
  const [tool] = images;
  assert.ok(tool);
  for (const yes of ['tool', 'tool:1.0', 'team/tool', 'quay.io/team/tool:1.0', 'quay.io/*/tool', 't??l', 'tool:*', '*'])
    assert.ok(isNamed(tool, yes), yes);
  for (const no of ['ool', 'tool:2', 'quay.io/*', 'quay.io', 'team', 'tool:1x0', 't?l', 'tool:1.0|x', '('])
    assert.ok(!isNamed(tool, no), no);
});

test('filterImages: what is made of, times, labels that are not wanted', () => {
  const withBase = [...images, image('e', [], 1)];
  const of = (...given: string[]): string =>
    filterImages(withBase, parseFilters(given, imageFilterKeys), Date.parse('2026-01-04T00:00:00Z'))
      .map(({ id }) => id[0])
      .join('');
  assert.equal(of('dangling=true'), 'a');
  assert.equal(of('intermediate=true'), 'e');
  assert.equal(of('intermediate=0'), 'cba');
  assert.equal(of('readonly=true'), '');
  assert.equal(of('readonly=false'), 'cbae');
  assert.equal(of('until=36h'), 'bae');
  assert.equal(of('until=2026-01-02T00:00:00Z'), 'ae');
  assert.equal(of('label!=app=web', 'label!=app=db'), 'ae');
  assert.throws(() => of('until=soon'), UsageError);
  assert.throws(() => of('intermediate=perhaps'), /expected true or false/);
});
