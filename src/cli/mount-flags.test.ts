import assert from 'node:assert/strict';
import test from 'node:test';
import { parseMountFlag, parseTmpfsFlag } from './mount-flags.ts';
import { UsageError } from './usage-error.ts';
import { parseVolumeFlag } from './volume-flag.ts';

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

test('parseVolumeFlag: volumes with and without a name', () => {
  assert.deepEqual(parseVolumeFlag('data:/b', '/'), {
    type: 'volume',
    name: 'data',
    destination: '/b',
    readOnly: false,
  });
  assert.deepEqual(parseVolumeFlag('a.b_c-1:/b/../c:ro,nocopy,U,suid,Z,rslave', '/'), {
    type: 'volume',
    name: 'a.b_c-1',
    destination: '/c',
    readOnly: true,
    propagation: 'rslave',
    options: ['suid'],
    chown: true,
    noCopy: true,
  });
  assert.deepEqual(parseVolumeFlag('/only/', '/'), { type: 'volume', destination: '/only', readOnly: false });
  assert.deepEqual(parseVolumeFlag('/a:/b:rro', '/'), {
    type: 'bind',
    source: '/a',
    destination: '/b',
    readOnly: true,
    options: ['rro'],
    createSource: true,
  });
});

test('parseVolumeFlag: says what is wrong', () => {
  const cases: Record<string, RegExp> = {
    only: /must begin with \//,
    '/a:b': /must begin with \//,
    '/a:/': /root of the container/,
    '/a:/b/..': /root of the container/,
    '/': /root of the container/,
    '/a:/b:rx': /unknown option rx/,
    '/a:/b:ro:z': /expected HOST:CONTAINER/,
    '/a:': /expected HOST:CONTAINER/,
    ':/b': /is neither a path/,
    '..x:/b': /is neither a path/,
    'a/../../b:/b': /is neither a path/,
    '.hidden:/b': /is neither a path/,
    [`${'n'.repeat(256)}:/b`]: /is neither a path/,
    'a\0b:/b': /is neither a path/,
  };
  for (const [text, message] of Object.entries(cases)) {
    assert.throws(
      () => parseVolumeFlag(text, '/'),
      (error) => error instanceof UsageError && message.test(error.message),
      text,
    );
  }
});

test('parseMountFlag: volumes, also with labels and options of one that is made, and images', () => {
  assert.deepEqual(parseMountFlag('dst=/d', '/'), { type: 'volume', destination: '/d', readOnly: false });
  assert.deepEqual(
    parseMountFlag(
      'type=volume,src=v,dst=/d,ro,volume-nocopy,subpath=a/b,U,noexec,volume-label=x=y,"volume-opt=o=size=1m,uid=5",volume-opt=type=tmpfs',
      '/',
    ),
    {
      type: 'volume',
      name: 'v',
      destination: '/d',
      readOnly: true,
      noCopy: true,
      subpath: 'a/b',
      options: ['noexec'],
      chown: true,
      labels: { x: 'y' },
      driverOptions: { o: 'size=1m,uid=5', type: 'tmpfs' },
    },
  );
  assert.deepEqual(parseMountFlag('type=image,src=busybox,dst=/d,image-subpath=bin', '/'), {
    type: 'image',
    image: 'busybox',
    destination: '/d',
    subpath: 'bin',
  });
  for (const text of ['rw', 'ro=false', 'rw=true'])
    assert.deepEqual(
      parseMountFlag(`type=image,src=i,dst=/d,${text}`, '/'),
      { type: 'image', image: 'i', destination: '/d', writable: true },
      text,
    );
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
  assert.deepEqual(parseMountFlag('type=tmpfs,dst=/t,exec,suid,dev,size=1k,mode=700,tmpcopyup', '/'), {
    type: 'tmpfs',
    destination: '/t',
    options: ['exec', 'suid', 'dev', 'size=1024', 'mode=700', 'tmpcopyup'],
  });
});

test('parseMountFlag: says what is wrong', () => {
  const cases: Record<string, RegExp> = {
    'src=/s,dst=/d': /is neither a path/,
    'type=disk,src=v,dst=/d': /type must be volume, bind, tmpfs or image, not disk/,
    'type=volume,src=v,dst=/d,subpath=../x': /must be relative and without \.\./,
    'type=volume,src=v,dst=/d,subpath=/x': /must be relative/,
    'type=volume,src=v,dst=/d,volume-driver=nfs': /no driver nfs/,
    'type=image,dst=/d': /src=IMAGE is needed/,
    'type=tmpfs,dst=/d,idmap': /unknown key idmap/,
    'type=bind,src=/s,dst=/d,bind-recursive=readonly': /is for what is readonly/,
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
