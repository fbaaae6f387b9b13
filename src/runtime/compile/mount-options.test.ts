import assert from 'node:assert/strict';
import { test } from 'node:test';
import { mountAttr, parseMountOptions, propagationBits } from './mount-options.ts';

const parse = (...options: string[]): ReturnType<typeof parseMountOptions> => parseMountOptions(options, 'mount on /a');

test('parseMountOptions: later options win, and clearing is exact', () => {
  assert.deepEqual([parse('ro', 'rw').set, parse('ro', 'rw').clear], [0, mountAttr.RDONLY]);
  assert.deepEqual([parse('rw', 'ro').set, parse('rw', 'ro').clear], [mountAttr.RDONLY, 0]);
  assert.deepEqual(
    [parse('nosuid', 'nodev', 'exec').set, parse('nosuid', 'nodev', 'exec').clear],
    [mountAttr.NOSUID | mountAttr.NODEV, mountAttr.NOEXEC],
  );
});

test('parseMountOptions: the access time is one field', () => {
  assert.deepEqual([parse('noatime').set, parse('noatime').clear], [mountAttr.NOATIME, mountAttr.ATIME]);
  assert.deepEqual(
    [parse('noatime', 'strictatime').set, parse('strictatime').clear],
    [mountAttr.STRICTATIME, mountAttr.ATIME],
  );
  assert.deepEqual([parse('noatime', 'relatime').set, parse('relatime').clear], [0, mountAttr.ATIME]);
});

test('parseMountOptions: recursive options apply to the tree; mixed with weaker plain ones they are unsupported', () => {
  assert.deepEqual([parse('rro').recursive, parse('rro').set], [true, mountAttr.RDONLY]);
  assert.equal(parse('ro', 'rnoexec').set, mountAttr.RDONLY | mountAttr.NOEXEC);
  assert.equal(parse('ro').recursive, false);
  assert.throws(() => parse('rw', 'rnoexec'), { kind: 'unsupported' });
  assert.equal(parse('noatime', 'rro').recursive, true);
});

test('parseMountOptions sorts binds, propagation, and what belongs to the file system', () => {
  const options = parse('rbind', 'rslave', 'size=1m', 'defaults', 'async', 'mode=755', 'newinstance');
  assert.deepEqual(
    [options.bind, options.recursiveBind, options.propagation, options.data],
    [true, true, 0x84000, ['size=1m', 'mode=755', 'newinstance']],
  );
  assert.throws(() => parse('remount'), { kind: 'unsupported' });
  assert.deepEqual([parse('rbind').idmap, parse('idmap').idmap, parse('ridmap').idmap], [undefined, 'idmap', 'ridmap']);
});

test('propagationBits', () => {
  assert.deepEqual(['private', 'rprivate', 'rshared', 'unbindable', 'rw', 'r', '', 'toString'].map(propagationBits), [
    0x40000,
    0x44000,
    0x104000,
    0x20000,
    undefined,
    undefined,
    undefined,
    undefined,
  ]);
});
