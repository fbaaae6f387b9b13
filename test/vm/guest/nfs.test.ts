/** Volumes of a server of NFS, which has its exports on the same machine: runs inside the virtual machine, see ../scopes.test.ts. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { chmodSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'node:test';
import { canRun } from '../../engine/lab.ts';
import { VolumeLab } from '../../engine/volume-lab.ts';
import { needs } from '../../support/needs.ts';

const skip = canRun || needs.program('exportfs', 'rpc.nfsd', 'rpc.mountd');

/** A server of NFS 4 alone, of one directory; its end when it is disposed. */
function server(dir: string): Disposable {
  mkdirSync(dir, { recursive: true });
  chmodSync(dir, 0o777);
  const sh = (script: string): void =>
    void execFileSync('sh', ['-ec', script], { stdio: ['ignore', 'ignore', 'inherit'] });
  sh(`modprobe nfsd; mountpoint -q /proc/fs/nfsd || mount -t nfsd nfsd /proc/fs/nfsd
    mkdir -p /var/lib/nfs/v4recovery; exportfs -o rw,fsid=0,no_root_squash,insecure,no_subtree_check '*:${dir}'
    rpc.mountd --no-udp --no-nfs-version 3; rpc.nfsd --no-nfs-version 3 --no-udp 2`);
  return {
    [Symbol.dispose]: () => sh('rpc.nfsd 0; exportfs -ua; pkill -x rpc.mountd; umount /proc/fs/nfsd'),
  };
}

test(
  'a volume of a server: written and read by containers, read-only where it is said, and no mount of the machine',
  { skip },
  async () => {
    const dir = '/srv/tare-nfs';
    using _server = server(dir);
    await using lab = new VolumeLab();
    writeFileSync(join(dir, 'there'), 'from the server');
    const options = ['-o', 'type=nfs', '-o', 'device=:/', '-o'];
    await lab.ok('volume', 'create', ...options, 'o=addr=127.0.0.1,soft', 'share');
    const script = 'cat /data/there; echo written > /data/new; stat -f -c %T /data';
    assert.equal(
      await lab.ok('run', '--rm', '-v', 'share:/data', lab.source, 'sh', '-c', script),
      'from the servernfs',
    );
    assert.equal(readFileSync(join(dir, 'new'), 'utf8'), 'written\n');
    assert.doesNotMatch(readFileSync('/proc/self/mountinfo', 'utf8'), / - nfs4? /);
    // By name, as nfs4, read-only.
    await lab.ok('volume', 'create', '-o', 'type=nfs4', '-o', 'device=localhost:/', '-o', 'o=ro,soft', 'readable');
    const refused = await lab.tare(
      'run',
      '--rm',
      '-v',
      'readable:/data',
      lab.source,
      'sh',
      '-c',
      'cat /data/new; echo x > /data/x',
    );
    assert.match(refused.stdout, /^written$/m, refused.stderr);
    assert.match(refused.stderr, /Read-only file system/);
    await lab.ok('volume', 'create', ...options, 'o=addr=127.0.0.1,nfsvers=9', 'wrong');
    const wrong = await lab.tare('run', '--rm', '-v', 'wrong:/data', lab.source, 'true');
    assert.equal(wrong.code, 125);
    assert.match(wrong.stderr, /^Error: Cannot mount volume wrong \(nfs of :\/\): /);
    await lab.ok('volume', 'rm', 'share', 'readable', 'wrong');
    assert.equal(readFileSync(join(dir, 'there'), 'utf8'), 'from the server', 'what is on the server stays');
    rmSync(dir, { recursive: true });
  },
);
