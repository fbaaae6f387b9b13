import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isKind } from '../../base/errors.ts';
import { checkLocalOptions, localOptions } from './local-options.ts';

test('localOptions: binds in every spelling, words of mount(8) that say nothing are left out', () => {
  for (const options of [
    { type: 'none', device: '/d', o: 'bind,ro' },
    { type: 'bind', device: '/d', o: 'ro' },
    { device: '/d', o: 'defaults, bind,ro' },
  ] as Record<string, string>[]) {
    const { bind, recursive, device, words } = localOptions(checkLocalOptions('v', options));
    assert.deepEqual([bind, recursive, device, words], [true, false, '/d', ['ro']], JSON.stringify(options));
  }
  assert.equal(localOptions({ type: 'none', device: '/d', o: 'rbind' }).recursive, true);
  assert.deepEqual(localOptions(checkLocalOptions('v', { type: 'tmpfs', o: 'size=1m,mode=700' })), {
    bind: false,
    recursive: false,
    type: 'tmpfs',
    device: '',
    words: ['size=1m', 'mode=700'],
  });
  assert.deepEqual(checkLocalOptions('v', {}), {});
});

test('checkLocalOptions: says what is wrong, and of which volume', () => {
  const cases: readonly (readonly [Record<string, string>, RegExp])[] = [
    [{ size: '1' }, /no option "size"; there are type, device, o/],
    [{ ['__proto__x']: '1' }, /no option/],
    [{ o: 'size=1m' }, /type= is needed/],
    [{ type: '../x', device: '/d' }, /no type of file system/],
    [{ type: 'none', o: 'bind', device: 'rel' }, /absolute path/],
    [{ type: 'none', o: 'bind' }, /absolute path/],
    [{ type: 'ext4' }, /needs -o device=/],
    [{ type: 'nfs', device: '/export' }, /HOST:\/PATH/],
    [{ type: 'none', o: 'bind,size=1m', device: '/d' }, /takes no such options/],
    [{ type: 'tmpfs', o: 'size=1\0' }, /NUL/],
  ];
  for (const [options, message] of cases)
    assert.throws(
      () => checkLocalOptions('v', options),
      (error) =>
        isKind(error, 'invalid') && error.message.startsWith('Cannot create volume v: ') && message.test(error.message),
      JSON.stringify(options),
    );
  for (const device of ['files.example:/a', ':/a', '192.0.2.1:/', '[2001:db8::1]:/a'])
    assert.deepEqual(checkLocalOptions('v', { type: 'nfs', device }), { type: 'nfs', device });
});
