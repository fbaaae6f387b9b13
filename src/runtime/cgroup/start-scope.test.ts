/** What systemd may answer, by a socket that answers it; the real one is in test/vm. */
import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { isKind } from '../../base/errors.ts';
import type { Value } from '../../sys/dbus/marshal.ts';
import { errorTo, listenAt, replyTo, signalOf } from '../../sys/dbus/peer.suite.ts';
import { type ScopeRequest, startScope } from './start-scope.ts';

const manager = 'org.freedesktop.systemd1.Manager';
const job = '/org/freedesktop/systemd1/job/9';
const done = (result: string): Buffer => signalOf(manager, 'JobRemoved', 'uoss', [9, job, 'tare-1.scope', result]);
const started = (serial: number): Buffer => replyTo(serial, 'o', [job]);

/** A tree with the scope where this process is, so that it looks as if systemd had put it there. */
function tree(): Disposable & { readonly request: ScopeRequest; read(name: string): string } {
  const dir = mkdtempSync(join(tmpdir(), 'tare-scope-'));
  const path = /^0::(.*)$/m.exec(readFileSync('/proc/self/cgroup', 'utf8'))?.[1] ?? '/';
  const scope = join(dir, 'fs', path);
  mkdirSync(join(scope, 'monitor'), { recursive: true });
  writeFileSync(join(scope, 'cgroup.controllers'), 'cpu memory\n');
  writeFileSync(join(scope, 'cgroup.subtree_control'), '');
  writeFileSync(join(scope, 'monitor', 'cgroup.procs'), '');
  return {
    request: {
      socket: join(dir, 'socket'),
      uid: 0,
      root: join(dir, 'fs'),
      unit: 'tare-1.scope',
      slice: 'machine.slice',
      path,
      description: 'Tare container one',
      pid: process.pid,
      stopTimeoutMs: 15_000,
    },
    read: (name) => readFileSync(join(scope, name), 'utf8'),
    [Symbol.dispose]: () => rmSync(dir, { recursive: true }),
  };
}

test('startScope: asks for a delegated scope around the monitor, waits for its job, divides it', async () => {
  using at = tree();
  const asked: Value[][] = [];
  await using _systemd = await listenAt(at.request.socket, (call, serial) => {
    asked.push([call.member ?? '', ...call.values()]);
    // The end of another job first; ours before we know that it is ours.
    return Buffer.concat([
      signalOf(manager, 'JobRemoved', 'uoss', [8, `${job}8`, 'x.service', 'failed']),
      signalOf(manager, 'UnitNew', 'so', ['x.service', '/x']),
      done('done'),
      started(serial),
    ]);
  });
  await startScope(at.request);
  assert.equal(asked.length, 1);
  const [member, unit, mode, properties, auxiliary] = asked[0] ?? [];
  assert.deepEqual([member, unit, mode, auxiliary], ['StartTransientUnit', 'tare-1.scope', 'fail', []]);
  assert.deepEqual(
    Object.fromEntries((properties as [string, { value: Value }][]).map(([name, { value }]) => [name, value])),
    {
      Description: 'Tare container one',
      Slice: 'machine.slice',
      PIDs: [process.pid],
      Delegate: true,
      CollectMode: 'inactive-or-failed',
      TasksMax: 2n ** 64n - 1n,
      TimeoutStopUSec: 15_000_000n,
    },
  );
  assert.equal(at.read('monitor/cgroup.procs'), String(process.pid));
  assert.equal(at.read('cgroup.subtree_control'), '+cpu +memory');
});

test('startScope: a scope of the last run takes the monitor in; one that is just ending is waited for', async () => {
  using at = tree();
  const members: string[] = [];
  await using _systemd = await listenAt(at.request.socket, (call, serial) => {
    members.push(call.member ?? '');
    if (members.length < 4) {
      const name = call.member === 'StartTransientUnit' ? 'UnitExists' : 'NoSuchUnit';
      return errorTo(serial, `org.freedesktop.systemd1.${name}`, 'no');
    }
    return replyTo(serial);
  });
  await startScope(at.request);
  assert.deepEqual(members, [
    'StartTransientUnit',
    'AttachProcessesToUnit',
    'StartTransientUnit',
    'AttachProcessesToUnit',
  ]);
});

test('startScope: a refusal, a failed job and a lost connection are errors that say so', async () => {
  using at = tree();
  {
    await using _systemd = await listenAt(at.request.socket, (_call, serial) =>
      errorTo(serial, 'org.freedesktop.DBus.Error.AccessDenied', 'Access denied'),
    );
    await assert.rejects(
      startScope(at.request),
      (error) => isKind(error, 'denied') && /Access denied/.test(error.message),
    );
  }
  {
    await using _systemd = await listenAt(at.request.socket, (_call, serial) =>
      Buffer.concat([started(serial), done('failed')]),
    );
    await assert.rejects(
      startScope(at.request),
      (error) => isKind(error, 'failed-precondition') && /tare-1\.scope: systemd says "failed"/.test(error.message),
    );
  }
  {
    await using _systemd = await listenAt(at.request.socket, (_call, serial, socket) => {
      socket.end(started(serial));
      return undefined;
    });
    await assert.rejects(startScope(at.request), (error) => isKind(error, 'unavailable'));
  }
});

test('startScope: a scope that is somewhere else than the container was made for is refused', async () => {
  using at = tree();
  await using _systemd = await listenAt(at.request.socket, (_call, serial) =>
    Buffer.concat([started(serial), done('done')]),
  );
  await assert.rejects(
    startScope({ ...at.request, path: '/elsewhere.slice/tare-1.scope' }),
    (error) => isKind(error, 'failed-precondition') && /not \/elsewhere\.slice/.test(error.message),
  );
  assert.equal(at.read('monitor/cgroup.procs'), '');
});
