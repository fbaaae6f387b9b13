import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isKind } from '../../base/errors.ts';
import {
  ACCESS_ALL,
  ACCESS_MKNOD,
  ACCESS_READ,
  ACCESS_WRITE,
  allowsEverything,
  deviceLines,
  parseDeviceRules,
  runtimeDeviceRules,
} from './device-rules.ts';
import { compileDeviceProgram } from './device-program.ts';
import { accesses, decide, devices, everyRule, runProgram, v1Verdict } from './_device-model.ts';

test('compileDeviceProgram decides as the rules do, for every pair of rules, device and access', () => {
  let checked = 0;
  for (const first of everyRule) {
    for (const second of everyRule) {
      const rules = [first, second];
      const program = compileDeviceProgram(rules);
      for (const device of devices) {
        for (const access of accesses) {
          const want = decide(rules, device, access);
          if (runProgram(program, device, access) !== want)
            assert.fail(`${JSON.stringify({ rules, device, access, want })}`);
          checked++;
        }
      }
    }
  }
  assert.ok(checked > 500_000, `${checked} checks`);
});

test('compileDeviceProgram decides as the rules do for random lists of up to twelve rules', () => {
  for (let round = 0; round < 3000; round++) {
    const rules = Array.from({ length: 1 + (round % 12) }, (_, index) => pick(round * 31 + index * 17));
    const program = compileDeviceProgram(rules);
    for (const device of devices) {
      for (const access of accesses)
        assert.equal(
          runProgram(program, device, access),
          decide(rules, device, access),
          JSON.stringify({ rules, device, access }),
        );
    }
  }
});

test('deviceLines mean the same to the v1 kernel as the rules, or are refused', () => {
  let expressed = 0;
  for (const first of everyRule) {
    for (const second of everyRule) {
      const rules = [first, second];
      const lines = deviceLines(rules);
      if (lines === undefined) continue;
      expressed++;
      for (const device of devices) {
        for (const access of accesses) {
          const want = decide(rules, device, access);
          if (v1Verdict(lines, device, access) !== want)
            assert.fail(`${JSON.stringify({ rules, lines, device, access, want })}`);
        }
      }
    }
  }
  assert.ok(expressed > everyRule.length ** 2 / 2, `${expressed} of ${everyRule.length ** 2} lists`);
});

test('deviceLines refuses a denial inside an allowed wildcard, and a denial of one access of it is fine when whole', () => {
  const allow = { allow: true, type: 'c', major: -1, minor: -1, access: ACCESS_ALL } as const;
  assert.equal(deviceLines([allow, { ...allow, allow: false, major: 1, minor: 3 }]), undefined);
  assert.deepEqual(deviceLines([allow, { ...allow, allow: false, access: ACCESS_WRITE }]), [
    { file: 'devices.deny', line: 'a' },
    { file: 'devices.allow', line: 'c *:* rm' },
  ]);
});

test('runtimeDeviceRules allow null and a pty, reading no disk, and making any node', () => {
  assert.ok(decide(runtimeDeviceRules, { type: 'c', major: 1, minor: 3 }, ACCESS_ALL));
  assert.ok(decide(runtimeDeviceRules, { type: 'c', major: 136, minor: 7 }, ACCESS_READ | ACCESS_WRITE));
  assert.ok(decide(runtimeDeviceRules, { type: 'b', major: 8, minor: 0 }, ACCESS_MKNOD));
  assert.ok(!decide(runtimeDeviceRules, { type: 'b', major: 8, minor: 0 }, ACCESS_READ));
  assert.ok(!decide(runtimeDeviceRules, { type: 'c', major: 1, minor: 1 }, ACCESS_WRITE));
});

test('parseDeviceRules fills in the defaults of the specification and refuses the rest by name', () => {
  assert.deepEqual(parseDeviceRules([{ allow: false }]), [
    { allow: false, type: 'a', major: -1, minor: -1, access: ACCESS_ALL },
  ]);
  assert.deepEqual(parseDeviceRules([{ allow: true, type: 'c', major: 10, minor: 229, access: 'rw' }]), [
    { allow: true, type: 'c', major: 10, minor: 229, access: ACCESS_READ | ACCESS_WRITE },
  ]);
  for (const rule of [{ type: 'x' }, { access: 'rx' }, { major: 1.5 }, { minor: -2 }]) {
    assert.throws(
      () => parseDeviceRules([{ allow: true, ...rule } as never]),
      (error) => isKind(error, 'invalid') && /device rule/.test(error.message),
    );
  }
});

test('allowsEverything sees through earlier rules, not through later denials', () => {
  const all = parseDeviceRules([{ allow: true }]);
  const denyOne = parseDeviceRules([{ allow: false, type: 'c', major: 1, minor: 1 }]);
  assert.ok(allowsEverything([...denyOne, ...all, ...runtimeDeviceRules]));
  assert.ok(!allowsEverything([...all, ...denyOne]));
  assert.ok(!allowsEverything(runtimeDeviceRules));
});

function pick(seed: number): (typeof everyRule)[number] {
  // A small mixing function: the lists are the same in every run.
  const mixed = Math.imul(seed ^ (seed >>> 7), 0x9e37_79b1) >>> 0;
  const rule = everyRule[mixed % everyRule.length];
  assert.ok(rule);
  return rule;
}

test('deviceLines grants together what two overlapping rules grant apart', () => {
  const rules = parseDeviceRules([
    { allow: true, type: 'c', access: 'r' },
    { allow: true, type: 'c', major: 1, minor: 2, access: 'w' },
  ]);
  assert.deepEqual(
    deviceLines(rules)?.map(({ line }) => line),
    ['a', 'c *:* r', 'c 1:2 rw'],
  );
});
