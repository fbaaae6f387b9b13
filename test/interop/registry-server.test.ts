/** Our server beside other clients: skopeo and podman push to it and pull from it. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { test } from 'node:test';
import { MemoryRegistry, collect, registryHandler } from '../../src/registry/mod.ts';
import { parseRepositoryPath, parseTag } from '../../src/spec/mod.ts';
import { blobsOf, buildImage, buildIndex, writeLayout } from '../support/image.ts';
import { serve } from '../support/http.ts';
import { needs } from '../support/needs.ts';
import { tarOf } from '../support/tar.ts';

/** Not synchronous: the server is in this process. */
async function run(program: string, ...args: string[]): Promise<string> {
  const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'pipe'], timeout: 60_000, killSignal: 'SIGKILL' });
  const code = new Promise<number | null>((resolve) => child.on('exit', resolve));
  const [stdout, stderr] = await Promise.all([text(child.stdout), text(child.stderr)]);
  assert.equal(await code, 0, `${program} ${args.join(' ')}: ${stderr}`);
  return stdout;
}

test(
  'skopeo pushes an index to registryHandler(), copies between repositories, and gets the same bytes back',
  { skip: needs.program('skopeo'), timeout: 120_000 },
  async () => {
    const dir = mkdtempSync(join(tmpdir(), 'tare-server-'));
    try {
      const noise = Buffer.alloc(5_000_000, 'noise ');
      const images = [
        buildImage({ layers: [tarOf([{ name: 'a', content: noise }])], architecture: 'amd64' }),
        buildImage({ layers: [tarOf([{ name: 'b', content: 'b' }])], architecture: 'arm64' }),
      ] as const;
      const index = buildIndex([
        { image: images[0], architecture: 'amd64' },
        { image: images[1], architecture: 'arm64', variant: 'v8' },
      ]);
      writeLayout(join(dir, 'in'), [...blobsOf(images[0]), ...blobsOf(images[1]), index], { all: index });
      const registry = new MemoryRegistry();
      await using server = await serve(registryHandler(registry));
      const at = `docker://127.0.0.1:${server.port}`;
      const copy = (source: string, target: string): Promise<string> =>
        run(
          'skopeo',
          ...['--insecure-policy', 'copy', '-q', '--all', '--src-tls-verify=false', '--dest-tls-verify=false'],
          source,
          target,
        );
      await copy(`oci:${join(dir, 'in')}:all`, `${at}/team/app:all`);
      const stored = await registry.getManifest(parseRepositoryPath('team/app'), parseTag('all'));
      assert.equal(stored.digest, index.descriptor.digest);
      const layer = images[0].layers[0]?.descriptor ?? assert.fail();
      const { body } = await registry.getBlob(parseRepositoryPath('team/app'), layer.digest);
      assert.equal((await collect(body, layer.size, 'layer')).byteLength, layer.size);
      await copy(`${at}/team/app:all`, `${at}/other/app:all`);
      const tags = await run('skopeo', 'list-tags', '--tls-verify=false', `${at}/other/app`);
      assert.deepEqual((JSON.parse(tags) as { Tags: string[] }).Tags, ['all']);
      await run('skopeo', 'delete', '--tls-verify=false', `${at}/other/app:all`);
      await assert.rejects(registry.getManifest(parseRepositoryPath('other/app'), parseTag('all')), /does not have it/);
    } finally {
      rmSync(dir, { recursive: true });
    }
  },
);
