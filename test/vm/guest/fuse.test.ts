/** fuse-overlayfs on kernel 6.1 and pure cgroup v2, in scopes of the machine's systemd and without: runs inside the virtual machine, see ../scopes.test.ts. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import test from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  diffContainer,
  listContainers,
  removeContainer,
  restartContainer,
  stopContainer,
} from '../../../src/engine/mod.ts';
import { canRun, Lab, read, until } from '../../engine/lab.ts';
import { fuseDaemons, mountOverlayOn } from '../../support/fuse.ts';
import { needs } from '../../support/needs.ts';

const skip =
  canRun || needs.program('fuse-overlayfs') || (existsSync('/run/systemd/private') ? false : 'needs systemd');
const WAIT_MS = 60_000;

for (const systemd of [false, true])
  test(
    `a container on fuse-overlayfs, its daemon beside its monitor, ${systemd ? 'in a scope' : 'by cgroupfs'}`,
    { skip },
    async () => {
      // Nothing makes the node on demand here.
      execFileSync('modprobe', ['fuse']);
      await using lab = new Lab(undefined, { systemd });
      mountOverlayOn(lab.options.root, join(lab.dir, 'parts'));
      const { id, warnings } = await lab.detached([
        'sh',
        '-c',
        'rm -r /data; mkdir /data; touch /data/new; sleep 1000',
      ]);
      assert.deepEqual(warnings, []);
      const daemons = fuseDaemons(lab.dir);
      assert.equal(daemons.length, 1);
      const cgroupOf = (pid: number | undefined): string => read(`/proc/${pid}/cgroup`).trim();
      assert.equal(cgroupOf(daemons[0]), cgroupOf(lab.monitorOf(id)));
      assert.match(cgroupOf(daemons[0]), systemd ? /\/tare-[0-9a-f]+\.scope\/monitor$/ : /\/tare-monitors$/);
      const isDone = async (): Promise<boolean> =>
        (await diffContainer(lab.engine, id)).some(({ path }) => path === '/data/new');
      for (let tries = 0; !(await isDone()); tries++) {
        assert.ok(tries < 500);
        await sleep(50);
      }
      assert.ok((await diffContainer(lab.engine, id)).some(({ kind, path }) => kind === 'D' && path === '/data/below'));
      await restartContainer(lab.engine, id, { timeoutSeconds: 0 });
      await stopContainer(lab.engine, id, { timeoutSeconds: 0 });
      await until(() => fuseDaemons(lab.dir).length === 0, WAIT_MS, 'the daemon is gone');
      for (const { id: left } of listContainers(lab.engine)) await removeContainer(lab.engine, left, { force: true });
      if (systemd) {
        const scopes = (): string =>
          execFileSync('systemctl', ['list-units', '--all', '--plain', '--no-legend', 'tare-*.scope'], {
            encoding: 'utf8',
          });
        await until(() => scopes() === '', WAIT_MS, 'no scope is left');
      }
    },
  );
