import assert from 'node:assert/strict';
import { constants } from 'node:os';
import { test } from 'node:test';
import { opsOf, plan } from './fixture.suite.ts';
import { describeStep } from './describe.ts';

const { EPERM, ENOENT, EACCES, ENOEXEC, EINVAL } = constants.errno;

test('describeStep says what could not be done, in the user’s terms', () => {
  const compiled = plan({
    process: { args: ['nosuch'] },
    mounts: [
      { destination: '/proc', type: 'proc' },
      { destination: '/a', type: 'bind', source: '/b' },
    ],
  });
  const { ops } = compiled;
  const step = (name: string): number => ops.findIndex(({ op }) => op === name);
  assert.match(
    describeStep(ops, step('mountFs'), EPERM, '/proc'),
    /^Cannot mount proc on \/proc: EPERM \(operation not permitted\); .*masked/,
  );
  assert.equal(
    describeStep(ops, step('mountFd'), ENOENT, '/a'),
    'Cannot bind on /a: ENOENT (no such file or directory)',
  );
  assert.equal(describeStep(ops, step('exec'), ENOENT, 'nosuch'), 'Cannot execute nosuch: not found in $PATH');
  assert.equal(describeStep(ops, step('exec'), EACCES, '/bin/nosuch'), 'Cannot execute /bin/nosuch: permission denied');
  assert.match(describeStep(ops, step('exec'), ENOEXEC, '/bin/nosuch'), /not a program/);
  assert.equal(describeStep(ops, 0xffffffff, EINVAL, 'plan'), 'Cannot start container: EINVAL (plan)');
  assert.match(describeStep(ops, 0xffffffff, 9999, ''), /error 9999/);
});

test('describeStep has words for every kind of operation of a Plan', () => {
  const { ops } = plan({ linux: { maskedPaths: ['/a'], readonlyPaths: ['/b'] } });
  for (const [index, op] of ops.entries()) assert.match(describeStep(ops, index, EPERM, ''), /^Cannot \S+ \S/, op.op);
  assert.equal(opsOf({ ops, fds: [] }, 'exec').length, 1);
});
