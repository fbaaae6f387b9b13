import assert from 'node:assert/strict';
import { lstatSync, mkdtempSync, readFileSync, readlinkSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'node:test';
import { isKind } from '../base/errors.ts';
import { createEngine } from './engine.ts';
import { installUnits, restartUnit } from './install-units.ts';

const places = { root: '/var/lib/tare', runRoot: '/r', storageRoot: '/s t', storageRunRoot: '/q' };

test("restartUnit: calls this engine's command line, in systemd's quoting", () => {
  const unit = restartUnit(
    { ...places, self: ['/opt/a b/tare', '--root=/50%', '--runroot=/$x', String.raw`--y=\ "`] },
    'multi-user.target',
  );
  const line = (key: string): string | undefined => new RegExp(`^${key}=(.*)$`, 'm').exec(unit)?.[1];
  assert.equal(
    line('ExecStart'),
    String.raw`"/opt/a b/tare" --root=/50%% --runroot=/$$x "--y=\\ \"" start --all --filter=restart-policy=always --filter=restart-policy=unless-stopped`,
  );
  assert.equal(line('RequiresMountsFor'), '/var/lib/tare "/s t"');
  assert.equal(line('KillMode'), 'process');
  assert.equal(line('After'), 'local-fs.target remote-fs.target network-online.target');
  assert.equal(line('WantedBy'), 'multi-user.target');
});

test("restartUnit: a user's unit waits for nothing the user's systemd does not know; a line break is refused", () => {
  const unit = restartUnit({ ...places, self: ['/tare'] }, 'default.target');
  assert.doesNotMatch(unit, /^After=|^Wants=/m);
  assert.throws(
    () => restartUnit({ ...places, self: ['/tare', '--root=/a\nExecStart=/evil'] }, 'default.target'),
    (error) => isKind(error, 'invalid'),
  );
});

test("installUnits: writes and enables a user's unit, again and again, whatever was there", () => {
  const dir = mkdtempSync(join(tmpdir(), 'tare-units-'));
  try {
    const rootless = {
      uid: 1000,
      gid: 1000,
      holder: 0,
      dataHome: dir,
      configHome: join(dir, 'config'),
      runtimeDir: dir,
    };
    const engine = createEngine({ ...places, self: ['/usr/bin/tare'], rootless });
    const { path, needsLinger } = installUnits(engine, { user: true });
    assert.equal(needsLinger, false);
    assert.equal(path, join(dir, 'config/systemd/user/tare-restart.service'));
    assert.equal(readFileSync(path, 'utf8'), restartUnit(engine, 'default.target'));
    assert.equal(statSync(path).mode & 0o777, 0o644);
    const wants = join(dir, 'config/systemd/user/default.target.wants/tare-restart.service');
    assert.equal(readlinkSync(wants), '../tare-restart.service');
    rmSync(wants);
    writeFileSync(wants, 'a file');
    installUnits(engine, { user: true });
    assert.ok(lstatSync(wants).isSymbolicLink());
    assert.throws(
      () => installUnits(engine, { user: false }),
      (error) => isKind(error, 'failed-precondition') && /--user/.test(String(error)),
    );
  } finally {
    rmSync(dir, { recursive: true });
  }
});

test("installUnits: root has no user's units", () => {
  const engine = createEngine({ ...places, self: ['/usr/bin/tare'] });
  assert.throws(
    () => installUnits(engine, { user: true }),
    (error) => isKind(error, 'failed-precondition') && /leave out --user/.test(String(error)),
  );
});
