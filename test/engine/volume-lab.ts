/** A lab with an image that declares a volume, with files of several owners and kinds where it is. */
import assert from 'node:assert/strict';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { busyboxEntries } from '../support/busybox.ts';
import { blobsOf, buildImage, writeLayout } from '../support/image.ts';
import { tarOf, type TarEntry } from '../support/tar.ts';
import { Lab } from './lab.ts';

const APPLETS =
  'sh cat stat touch sleep id chown chmod rm mkdir true ls echo find sort mount grep mv ln mkfifo wc'.split(' ');

/** What the image has at /data, whose volume it is; `/link` leads there, and `/out` to the machine's own /etc. */
export const dataEntries: readonly TarEntry[] = [
  { name: 'data/', type: 'directory', uid: 70, gid: 71, mode: 0o1750 },
  { name: 'data/file', content: 'given', uid: 70, gid: 71, mode: 0o640 },
  { name: 'data/sub/', type: 'directory', uid: 5, gid: 6, mode: 0o2755 },
  { name: 'data/sub/hard', type: 'hardlink', link: 'data/file', uid: 70, gid: 71, mode: 0o640 },
  { name: 'data/out', type: 'symlink', link: '/etc/passwd' },
  { name: 'data/up', type: 'symlink', link: '../../../../etc' },
  { name: 'link', type: 'symlink', link: '/data' },
  { name: 'out', type: 'symlink', link: '../../../../../../etc' },
];

/** `stat` lines of /data and what is in it, as the image has them. */
export const look = 'cd /data && stat -c "%n %F %a %u:%g" . file sub sub/hard out up && cat sub/hard';
export const seen = [
  '. directory 1750 70:71',
  'file regular file 640 70:71',
  'sub directory 2755 5:6',
  'sub/hard regular file 640 70:71',
  'out symbolic link 777 0:0',
  'up symbolic link 777 0:0',
  'given',
].join('\n');

/** A lab whose commands are expected to work, with the image `v`. */
export class VolumeLab extends Lab {
  async pull(
    name = 'v',
    config: Record<string, unknown> = { Volumes: { '/data': {} } },
    more: readonly TarEntry[] = [],
  ): Promise<void> {
    const etc: TarEntry[] = [
      { name: 'etc/', type: 'directory' },
      { name: 'etc/passwd', content: 'root:x:0:0::/:/bin/sh\nu:x:1000:1001::/:/bin/sh\n' },
    ];
    const layer = tarOf([...busyboxEntries(...APPLETS), ...etc, ...dataEntries, ...more]);
    const image = buildImage({ layers: [layer], config: { Env: ['PATH=/bin'], ...config } });
    const layout = join(this.dir, `layout-${name}`);
    mkdirSync(layout);
    writeLayout(layout, blobsOf(image), { [name]: image.manifest });
    await this.ok('pull', '-q', `oci:${layout}:${name}`);
  }

  async ok(...args: string[]): Promise<string> {
    const { code, stdout, stderr } = await this.tare(...args);
    assert.equal(code, 0, `tare ${args.join(' ')}: ${code}: ${stderr}${stdout}`);
    return stdout.trimEnd();
  }

  /** The error of a command that fails. */
  async fails(...args: string[]): Promise<string> {
    const { code, stdout, stderr } = await this.tare(...args);
    assert.notEqual(code, 0, `tare ${args.join(' ')}: ${stdout}`);
    return stderr.trimEnd();
  }

  /** Names of all volumes. */
  async volumes(): Promise<string[]> {
    return (await this.ok('volume', 'ls', '-q')).split('\n').filter((name) => name !== '');
  }

  volume(name: string, ...below: string[]): string {
    return join(this.engine.volumesDir, name, ...below);
  }
}
