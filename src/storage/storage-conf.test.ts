import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readStorageConf } from './storage-conf.ts';

test('readStorageConf: takes driver and roots of [storage], and nothing of other tables or comments', () => {
  const text = `
# graphroot = "/commented"
[storage]
driver = "overlay" # as usual
 graphroot="/var/lib/x y"
runroot = '/run/\\x'
imagestore = ""
[storage.options]
graphroot = "/not/this"
additionalimagestores = [ "/a", ]
`;
  assert.deepEqual(readStorageConf(text), {
    driver: 'overlay',
    graphRoot: '/var/lib/x y',
    runRoot: '/run/\\x',
    unsupported: [],
  });
  assert.deepEqual(readStorageConf(''), { unsupported: [] });
  assert.deepEqual(readStorageConf('[storage]\ngraphroot = ""\ntransient_store = false\n'), { unsupported: [] });
  assert.deepEqual(readStorageConf('[storage]\nimagestore = "/images"\ntransient_store = true # fast\n'), {
    unsupported: ['imagestore', 'transient_store'],
  });
});
