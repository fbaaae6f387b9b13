import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isKind } from '../base/errors.ts';
import { changeImageProcess, changeInstructions } from './image-change.ts';

const change = (...changes: string[]) => changeImageProcess({}, changes);

test('changeImageProcess: each instruction in its forms', () => {
  assert.deepEqual(change('CMD ["a", "b c"]'), { Cmd: ['a', 'b c'] });
  assert.deepEqual(change('cmd echo "hi"'), { Cmd: ['/bin/sh', '-c', 'echo "hi"'] });
  assert.deepEqual(change('CMD=/bin/bash'), { Cmd: ['/bin/sh', '-c', '/bin/bash'] });
  assert.deepEqual(change('CMD'), { Cmd: null }, 'without a value: none');
  assert.deepEqual(changeImageProcess({ Shell: ['bash', '-ec'] }, ['ENTRYPOINT x'])['Entrypoint'], [
    'bash',
    '-ec',
    'x',
  ]);
  assert.deepEqual(change('ENV A=b "C=d e" F=\'g h\' I=j\\ k'), { Env: ['A=b', 'C=d e', 'F=g h', 'I=j k'] });
  assert.deepEqual(change('ENV A b  c'), { Env: ['A=b  c'] });
  assert.deepEqual(change('ENV=A=b'), { Env: ['A=b'] });
  assert.deepEqual(change('ENV A=$HOME'), { Env: ['A=$HOME'] }, 'data, never expanded');
  assert.deepEqual(change('LABEL a=b "c d"="e f"'), { Labels: { a: 'b', 'c d': 'e f' } });
  assert.deepEqual(change('EXPOSE 80 53/udp 8000-8002'), {
    ExposedPorts: { '80/tcp': {}, '53/udp': {}, '8000/tcp': {}, '8001/tcp': {}, '8002/tcp': {} },
  });
  assert.deepEqual(change('VOLUME ["/a", "/b c"]', 'VOLUME /d /e'), {
    Volumes: { '/a': {}, '/b c': {}, '/d': {}, '/e': {} },
  });
  assert.deepEqual(change('ONBUILD RUN x', 'ONBUILD RUN y'), { OnBuild: ['RUN x', 'RUN y'] });
  assert.deepEqual(change('STOPSIGNAL SIGUSR1', 'USER 1000:1000', 'WORKDIR /a', 'WORKDIR b/../c'), {
    StopSignal: 'SIGUSR1',
    User: '1000:1000',
    WorkingDir: '/a/c',
  });
});

test('changeImageProcess: what is there stays, what is named changes in its place', () => {
  const base = { Env: ['A=1', 'B=2'], Labels: { x: 'y' }, Cmd: ['old'], Custom: 7, ExposedPorts: { '1/tcp': {} } };
  assert.deepEqual(changeImageProcess(base, ['ENV A=9 C=3', 'LABEL z=1', 'EXPOSE 2']), {
    ...base,
    Env: ['A=9', 'B=2', 'C=3'],
    Labels: { x: 'y', z: '1' },
    ExposedPorts: { '1/tcp': {}, '2/tcp': {} },
  });
  assert.equal(changeImageProcess(base, ['ENTRYPOINT ["e"]'])['Cmd'], undefined, 'an entrypoint drops the command');
  assert.deepEqual(
    changeImageProcess(base, ['CMD ["c"]', 'ENTRYPOINT ["e"]'])['Cmd'],
    ['c'],
    'but not one that was just set',
  );
  assert.deepEqual(base.Cmd, ['old'], 'the base is not touched');
  const odd = JSON.parse('{"Labels":{}}') as object;
  const labels = changeImageProcess({ ...odd }, ['LABEL __proto__=x'])['Labels'] as object;
  assert.ok(Object.hasOwn(labels, '__proto__') && Object.getPrototypeOf(labels) === Object.prototype);
});

test('changeImageProcess: refuses what it does not understand, and says what', () => {
  for (const [text, why] of [
    ['RUN x', changeInstructions.join(', ')],
    ['', 'expected one of'],
    ['ENV', 'a value must follow'],
    ['ENV ', 'a value must follow'],
    ['ENV A', 'NAME=VALUE'],
    ['ENV A=b C', 'NAME=VALUE'],
    ['ENV A="b', 'no end'],
    ['LABEL =x', 'NAME=VALUE'],
    ['CMD ["a"', 'JSON'],
    ['CMD [1]', 'JSON'],
    ['EXPOSE 0', 'port'],
    ['EXPOSE 70000', 'port'],
    ['EXPOSE 9-8', 'port'],
    ['EXPOSE x', 'port'],
    ['USER a:b:c', 'USER'],
    ['USER 4294967296', '2147483647'],
    ['STOPSIGNAL nope', 'signal'],
    ['VOLUME [""]', 'empty'],
    ['WORKDIR a\0b', 'NUL'],
  ] as const)
    assert.throws(
      () => change(text),
      (error) => isKind(error, 'invalid') && error.message.startsWith('Cannot ') && error.message.includes(why),
      `${text}: ${why}`,
    );
});
