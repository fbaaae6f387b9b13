import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isKind } from '../base/errors.ts';
import { formatImageLocation, parseImageLocation } from './location.ts';

test('parseImageLocation() reads every transport and plain names', () => {
  const cases: Record<string, string> = {
    busybox: 'docker://docker.io/library/busybox:latest',
    'docker:1.2': 'invalid',
    'docker://busybox:1': 'docker://docker.io/library/busybox:1',
    'localhost:5000/x': 'docker://localhost:5000/x:latest',
    'oci:dir': 'oci:dir',
    'oci:/a/b:name:tag': 'oci:/a/b:name:tag',
    'oci-archive:a.tar:docker.io/library/x:1': 'oci-archive:a.tar:docker.io/library/x:1',
    'oci:': 'invalid',
    'oci::x': 'invalid',
    'oci:a:b c': 'invalid',
    'docker://': 'invalid',
    'docker://oci:x:y': 'invalid',
    'oci:dir:@3': 'oci:dir:@3',
    'oci:dir:@x': 'oci:dir:@x',
    'docker-archive:x.tar': 'docker-archive:x.tar',
    'docker-archive:x.tar:busybox:1': 'docker-archive:x.tar:busybox:1',
    'docker-archive:x.tar:@0': 'docker-archive:x.tar:@0',
    'docker-archive:x.tar:Not A Name': 'invalid',
    'docker-archive::busybox': 'invalid',
    'dir:/x:y': 'dir:/x:y',
    'dir:': 'invalid',
    'containers-storage:localhost/x:1': 'containers-storage:localhost/x:1',
    'containers-storage:': 'invalid',
    'containers-storage:[overlay@/a+/b]x': 'unsupported',
    'docker-daemon:x:1': 'unsupported',
    'ostree:x': 'unsupported',
    'ociX:tag': 'invalid',
  };
  for (const [text, expected] of Object.entries(cases)) {
    if (expected === 'invalid' || expected === 'unsupported') {
      assert.throws(
        () => parseImageLocation(text),
        (error) => isKind(error, expected),
        text,
      );
    } else {
      const location = parseImageLocation(text);
      assert.equal(formatImageLocation(location), expected, text);
      assert.deepEqual(parseImageLocation(expected), location);
    }
  }
});
