/** User namespaces with kernel 6.1, which attaches the layers of an overlay before it takes them, and maps no ids of tmpfs: runs inside the virtual machine, see ../machine.test.ts. */
import assert from 'node:assert/strict';
import { appendFileSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'node:test';
import { diffContainer, inspectContainer, pullImage, removeContainer } from '../../../src/engine/mod.ts';
import { MNT_DETACH, fsconfigCreate, fsmount, fsopen, moveMount, umount } from '../../../src/sys/mount.ts';
import { openDirectory } from '../../../src/sys/open.ts';
import { canRun, Lab } from '../../engine/lab.ts';
import { busyboxEntries } from '../../support/busybox.ts';
import { blobsOf, buildImage, writeLayout } from '../../support/image.ts';
import { tarOf } from '../../support/tar.ts';

const skip = canRun;
const FIRST = 2_000_000_000;

/** Two layers, so that there is an overlay of several lowers. */
async function pull(lab: Lab): Promise<string> {
  if (!/^containers:/m.test(readFileSync('/etc/subuid', 'utf8')))
    for (const file of ['subuid', 'subgid']) appendFileSync(`/etc/${file}`, `containers:${FIRST}:100000\n`);
  const image = buildImage({
    layers: [
      tarOf([
        ...busyboxEntries('sh', 'cat', 'stat', 'touch'),
        { name: 'u', content: 'u', uid: 1000, gid: 50, mode: 0o4755 },
      ]),
      tarOf([{ name: 'top', content: 't', uid: 7, gid: 8 }]),
    ],
  });
  const layout = join(lab.dir, 'layout');
  writeLayout(layout, blobsOf(image), { t: image.manifest });
  return (await pullImage(lab.engine, `oci:${layout}:t`)).imageId;
}

const script = 'cat /proc/self/uid_map; stat -c %u:%g:%a / /u /top; touch /new /u; echo x >/dev/stdout';
const seen = new RegExp(`^\\s*0\\s+${FIRST}\\s+1024\n0:0:555\n1000:50:4755\n7:8:644\nx$`);

test('--userns auto: the layers of an image are shown with other owners, nothing is copied', { skip }, async () => {
  await using lab = new Lab();
  const source = await pull(lab);
  const running = await lab.run(['sh', '-c', script], { source, userns: 'auto' });
  assert.match(running.stdout.trimEnd(), seen, running.stderr);
  assert.deepEqual(running.warnings, []);
  const kept = await lab.detached(['sh', '-c', 'touch /new; cat /sys/fs/cgroup/pids.max; sleep 1000'], {
    source,
    userns: 'auto',
    init: true,
    resources: { pidsLimit: 44 },
  });
  const { HostConfig } = (await inspectContainer(lab.engine, kept.id)) as { HostConfig: Record<string, unknown> };
  assert.deepEqual(HostConfig['IDMappings'], { UidMap: [`0:${FIRST}:1024`], GidMap: [`0:${FIRST}:1024`] });
  assert.deepEqual(await diffContainer(lab.engine, kept.id), [{ kind: 'A', path: '/new' }]);
  await removeContainer(lab.engine, kept.id, { force: true });
});

test('--userns auto: the machine itself is shown with other owners', { skip }, async () => {
  await using lab = new Lab();
  const { stdout, stderr } = await lab.run(['sh', '-c', 'stat -c %u:%g / /etc/passwd; touch /root/x && id -u'], {
    source: 'host:',
    userns: 'auto',
  });
  assert.equal(stdout, '0:0\n0:0\n0\n', stderr);
});

test(
  '--userns auto: on a file system that maps no ids the files of an image are copied, with a warning',
  { skip },
  async () => {
    await using lab = new Lab();
    mkdirSync(lab.engine.storageRoot);
    using context = fsopen('tmpfs');
    fsconfigCreate(context);
    using mount = fsmount(context);
    using at = openDirectory(lab.engine.storageRoot);
    moveMount(mount, at, '');
    try {
      const source = await pull(lab);
      const { stdout, stderr, warnings } = await lab.run(['sh', '-c', script], { source, userns: 'auto' });
      assert.match(stdout.trimEnd(), seen, stderr);
      assert.match(warnings.join('\n'), /^every file of the image was copied for this container/);
      writeFileSync(join(lab.dir, 'done'), '');
    } finally {
      umount(lab.engine.storageRoot, MNT_DETACH);
    }
  },
);
