import assert from 'node:assert/strict';
import test from 'node:test';
import { hasLabel } from '../engine/has-label.ts';
import { filterSwitch, parseFilters } from './filters.ts';

test('parseFilters: groups by key', () => {
  assert.deepEqual(
    [...parseFilters(['a=1', 'b=x=y', 'a=2', 'label!=z', 'label=a!=b'], ['a', 'b', 'label', 'label!'])],
    [
      ['a', ['1', '2']],
      ['b', ['x=y']],
      ['label!', ['z']],
      ['label', ['a!=b']],
    ],
  );
});

test('parseFilters: an unknown key is an error that says what there is', () => {
  const usage = (message: string) => ({ name: 'UsageError', exitCode: 125, message });
  assert.throws(
    () => parseFilters(['stauts=x'], ['id', 'status']),
    usage('Cannot use --filter stauts=x: there is no filter stauts, did you mean status=?; there are id=, status='),
  );
  assert.throws(() => parseFilters(['status'], ['status']), usage('Cannot use --filter status: expected status=VALUE'));
  assert.throws(() => parseFilters(['=x'], ['status']), { name: 'UsageError' });
});

test('filterSwitch and hasLabel', () => {
  assert.deepEqual([filterSwitch('a', 'true'), filterSwitch('a', '0')], [true, false]);
  assert.throws(() => filterSwitch('a', 'maybe'), /--filter a=maybe: expected true or false/);
  const labels = { app: 'web', empty: '' };
  assert.deepEqual(
    ['app', 'app=web', 'app=', 'empty=', 'toString'].map((wanted) => hasLabel(labels, wanted)),
    [true, true, false, true, false],
  );
});
