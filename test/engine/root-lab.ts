/** Root's engine on a machine whose /etc/subuid and /etc/subgid give ids to containers: the real files stay as they are. */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { UserLab } from '../rootless/lab.ts';
import { busyboxEntries } from '../support/busybox.ts';
import { blobsOf, buildImage, writeLayout } from '../support/image.ts';
import { tarOf } from '../support/tar.ts';
import { Lab, type Outcome } from './lab.ts';

/** The first id that containers get. */
export const FIRST = 2_000_000_000;

export interface Ids {
  readonly UidMap: readonly string[];
  readonly GidMap: readonly string[];
}

/** Root where /etc/subuid and /etc/subgid give ids to `containers`. */
export class RootLab extends Lab {
  readonly #user: UserLab;

  constructor(subids = `containers:${FIRST}:100000\n`) {
    super();
    this.#user = new UserLab({ subids });
  }

  /** Runs a program as root where those files are so. */
  exec(argv: readonly string[]): Promise<Outcome> {
    return this.#user.exec(argv, { root: true });
  }

  override tare(...args: string[]): Promise<Outcome> {
    return this.exec([...this.options.self, ...args]);
  }

  async ok(...args: string[]): Promise<string> {
    const { code, stdout, stderr } = await this.tare(...args);
    assert.equal(code, 0, `tare ${args.join(' ')}: ${code}: ${stderr}${stdout}`);
    return stdout.trimEnd();
  }

  async refused(...args: string[]): Promise<string> {
    const { code, stderr } = await this.tare(...args);
    assert.equal(code, 125, `tare ${args.join(' ')}: ${stderr}`);
    return stderr.trimEnd();
  }

  async ids(container: string): Promise<Ids> {
    return JSON.parse(await this.ok('inspect', '--format', '{{json .HostConfig.IDMappings}}', container)) as Ids;
  }

  /** Two layers with files of several owners, of which 2000 is the highest. */
  async pull(): Promise<string> {
    const applets = ['sh', 'cat', 'stat', 'touch', 'sleep', 'id', 'chown', 'chmod', 'rm', 'mkdir', 'true', 'ls'];
    const image = buildImage({
      layers: [
        tarOf([
          ...busyboxEntries(...applets),
          { name: 'etc/', type: 'directory' },
          { name: 'etc/passwd', content: 'root:x:0:0::/:/bin/sh\nu:x:1000:1000::/:/bin/sh\n' },
          { name: 'u', content: 'u', uid: 1000, gid: 50, mode: 0o4755 },
          { name: 'first', content: 'linked', uid: 7, gid: 8 },
          { name: 'second', type: 'hardlink', link: 'first', uid: 7, gid: 8 },
          { name: 'cap', content: 'c', pax: { 'SCHILY.xattr.security.capability': capability().toString('latin1') } },
        ]),
        tarOf([{ name: 'top', content: 't', uid: 2000, gid: 2000 }]),
      ],
    });
    const layout = join(this.dir, 'layout');
    writeLayout(layout, blobsOf(image), { t: image.manifest });
    return this.ok('pull', '-q', `oci:${layout}:t`);
  }

  override async [Symbol.asyncDispose](): Promise<void> {
    await super[Symbol.asyncDispose]();
    await this.#user[Symbol.asyncDispose]();
  }
}

/** cap_net_raw, effective: for whoever is root. */
export function capability(): Buffer {
  const bytes = Buffer.alloc(20);
  bytes.writeUInt32LE(0x0200_0001, 0);
  bytes.writeUInt32LE(1 << 13, 4);
  return bytes;
}
