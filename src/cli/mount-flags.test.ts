import assert from 'node:assert/strict';
import test from 'node:test';
import { parseMountFlag, parseTmpfsFlag, parseVolumeFlag } from './mount-flags.ts';
import { UsageError } from './usage-error.ts';

test('parseVolumeFlag: paths, options and a source that is made', () => {
  assert.deepEqual(parseVolumeFlag('/a:/b', '/cwd'), {
    type: 'bind',
    source: '/a',
    destination: '/b',
    readOnly: false,
    createSource: true,
  });
  assert.deepEqual(parseVolumeFlag('./a:/b/:ro,rshared,noexec,z', '/cwd'), {
    type: 'bind',
    source: '/cwd/a',
    destination: '/b',
    readOnly: true,
    createSource: true,
    propagation: 'rshared',
    options: ['noexec'],
  });
  assert.deepEqual(parseVolumeFlag('..:/b:bind', '/cwd/x'), {
    type: 'bind',
    source: '/cwd',
    destination: '/b',
    readOnly: false,
    createSource: true,
    recursive: false,
  });
});

test('parseVolumeFlag: refuses what is not there yet and what is wrong', () => {
  const cases: Record<string, RegExp> = {
    'data:/b': /named volumes are not there yet/,
    '/only': /without a host path/,
    '/a:b': /must begin with \//,
    '/a:/': /root of the container/,
    '/a:/b/..': /root of the container/,
    '/a:/b:rx': /unknown option rx/,
    '/a:/b:ro:z': /expected HOST:CONTAINER/,
    ':/b': /is no path/,
  };
  for (const [text, message] of Object.entries(cases)) {
    assert.throws(
      () => parseVolumeFlag(text, '/'),
      (error) => error instanceof UsageError && message.test(error.message),
      text,
    );
  }
});

test('parseMountFlag: bind with every spelling of its keys', () => {
  const plain = { type: 'bind', source: '/s', destination: '/d', readOnly: false };
  for (const text of [
    'type=bind,src=/s,dst=/d',
    'type=bind,source=/s,destination=/d',
    'dst=/d,TYPE=bind,src=/s,readonly=false',
    'type=bind,src=/s,target=/d,rw',
  ]) {
    assert.deepEqual(parseMountFlag(text, '/'), plain, text);
  }
  for (const text of ['ro', 'readonly', 'ro=true', 'readonly=1', 'rw=false']) {
    assert.deepEqual(parseMountFlag(`type=bind,src=/s,dst=/d,${text}`, '/'), { ...plain, readOnly: true }, text);
  }
  assert.deepEqual(parseMountFlag('type=bind,src=s,dst=/d,bind-propagation=rslave,bind-nonrecursive', '/c'), {
    ...plain,
    source: '/c/s',
    recursive: false,
    propagation: 'rslave',
  });
  assert.deepEqual(parseMountFlag('type=bind,"src=/a,b ""c""",dst=/d', '/'), { ...plain, source: '/a,b "c"' });
});

test('parseMountFlag: tmpfs', () => {
  assert.deepEqual(parseMountFlag('type=tmpfs,dst=/t,tmpfs-size=64m,tmpfs-mode=1770,ro', '/'), {
    type: 'tmpfs',
    destination: '/t',
    options: ['size=67108864', 'mode=1770', 'ro'],
  });
});

test('parseMountFlag: says what is wrong', () => {
  const cases: Record<string, RegExp> = {
    'src=/s,dst=/d': /type must be bind or tmpfs/,
    'type=volume,src=v,dst=/d': /not volume/,
    'type=bind,dst=/d': /src= is needed/,
    'type=bind,src=/s': /dst= is needed/,
    'type=bind,src=/s,dst=/d,tmpfs-size=1': /unknown key tmpfs-size for type bind/,
    'type=tmpfs,dst=/d,src=/s': /tmpfs has no source/,
    'type=tmpfs,dst=/d,tmpfs-mode=888': /octal/,
    'type=tmpfs,dst=/d,tmpfs-size=big': /expected a size/,
    'type=bind,src=/s,dst=/d,ro=perhaps': /must be true or false/,
    'type=bind,src=/s,src=/t,dst=/d': /given twice/,
    'type=bind,src,dst=/d': /expected src=/,
    'type=bind,src=/s,dst=/d,propagation=up': /must be one of/,
    'type=bind,"src=/s,dst=/d': /quote is not closed/,
  };
  for (const [text, message] of Object.entries(cases)) {
    assert.throws(
      () => parseMountFlag(text, '/'),
      (error) => error instanceof UsageError && message.test(error.message),
      text,
    );
  }
});

test('parseTmpfsFlag: options are passed on, a bad size is not', () => {
  assert.deepEqual(parseTmpfsFlag('/t'), { type: 'tmpfs', destination: '/t', options: [] });
  assert.deepEqual(parseTmpfsFlag('/t:size=1m,mode=700,exec'), {
    type: 'tmpfs',
    destination: '/t',
    options: ['size=1m', 'mode=700', 'exec'],
  });
  assert.deepEqual(parseTmpfsFlag('/t:size=50%').type, 'tmpfs');
  assert.throws(() => parseTmpfsFlag('/t:size=huge'), UsageError);
  assert.throws(() => parseTmpfsFlag('t'), UsageError);
});
