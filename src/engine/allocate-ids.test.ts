import assert from 'node:assert/strict';
import { test } from 'node:test';
import { allocateIds, type IdsWanted, without } from './allocate-ids.ts';

const base: IdsWanted = {
  kind: 'uid',
  size: 100,
  given: [],
  available: [{ first: 1000, count: 1000 }],
  used: [],
};

test('allocateIds takes the first place that is large enough, or the last', () => {
  assert.deepEqual(allocateIds(base), [{ containerID: 0, hostID: 1000, size: 100 }]);
  assert.deepEqual(allocateIds({ ...base, fromEnd: true }), [{ containerID: 0, hostID: 1900, size: 100 }]);
  const used = [
    { first: 1050, count: 50 },
    { first: 1150, count: 100 },
  ];
  assert.deepEqual(allocateIds({ ...base, used }), [{ containerID: 0, hostID: 1250, size: 100 }]);
  assert.deepEqual(allocateIds({ ...base, size: 50, used }), [{ containerID: 0, hostID: 1000, size: 50 }]);
});

test('allocateIds puts pieces together where no place is large enough', () => {
  const used = [{ first: 1400, count: 300 }];
  assert.deepEqual(allocateIds({ ...base, size: 600, used }), [
    { containerID: 0, hostID: 1000, size: 400 },
    { containerID: 400, hostID: 1700, size: 200 },
  ]);
});

test('allocateIds leaves ids alone that are given, on both sides', () => {
  const given = [{ containerID: 10, hostID: 1010, size: 5 }];
  assert.deepEqual(allocateIds({ ...base, size: 20, given }), [
    { containerID: 0, hostID: 1015, size: 10 },
    { containerID: 10, hostID: 1010, size: 5 },
    { containerID: 15, hostID: 1025, size: 5 },
  ]);
  const far = [{ containerID: 5000, hostID: 0, size: 1 }];
  assert.deepEqual(allocateIds({ ...base, size: 2, given: far }), [{ containerID: 0, hostID: 1000, size: 2 }, ...far]);
});

test('allocateIds says how many are free when there are not enough', () => {
  assert.throws(() => allocateIds({ ...base, size: 900, used: [{ first: 1000, count: 200 }] }), {
    kind: 'exhausted',
    message: /^Cannot give the container 900 uids: 800 of 1000 are free; /,
  });
  const used = Array.from({ length: 500 }, (_, i) => ({ first: 1000 + 2 * i, count: 1 }));
  assert.throws(() => allocateIds({ ...base, size: 400, used }), {
    kind: 'exhausted',
    message: /more than 340 pieces/,
  });
});

test('without: what is left of ranges that overlap and touch (against a model)', () => {
  let seed = 7;
  const random = (below: number): number => (seed = (seed * 1103515245 + 12345) % 2147483648) % below;
  const ranges = (): { first: number; count: number }[] =>
    Array.from({ length: random(5) }, () => ({ first: random(40), count: random(12) }));
  const ids = (list: readonly { first: number; count: number }[]): Set<number> =>
    new Set(list.flatMap(({ first, count }) => Array.from({ length: count }, (_, i) => first + i)));
  for (let round = 0; round < 500; round++) {
    const [all, holes] = [ranges(), ranges()];
    const left = without(all, holes);
    const expected = [...ids(all)].filter((id) => !ids(holes).has(id)).sort((a, b) => a - b);
    assert.deepEqual([...ids(left)], expected);
    assert.equal(
      left.reduce((sum, { count }) => sum + count, 0),
      expected.length,
    );
  }
});
