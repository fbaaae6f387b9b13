import { readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { TareError } from '../base/errors.ts';
import type { ImageConfig } from '../spec/image-config.ts';
import type { Mount, MountIds } from '../spec/mount.ts';
import { type Mount as OciMount, type RuntimeConfig, parseRuntimeConfig } from '../spec/runtime-config.ts';
import type { CreateHow } from './create.ts';
import type { CreateOptions } from './create-options.ts';
import type { Engine } from './engine.ts';
import type { Source } from './record.ts';
import { parseSource, realDirectory } from './source.ts';
import { type ContainerPlaces, hostRootfs, overlayRootfs } from './source-host.ts';

/** A source made ready: how the rootfs is mounted and what the source itself asks for. */
export interface PreparedSource {
  readonly source: Source;
  /** As shown in listings. */
  readonly image: string;
  readonly rootfs: Mount;
  /** Mounts the source brings (further disks of `host:`). */
  readonly mounts: readonly OciMount[];
  readonly masked: readonly string[];
  readonly imageConfig?: ImageConfig;
  /** A bundle's own config; user options change it. */
  readonly bundle?: RuntimeConfig;
}

/** What a source turned out to be, before anything is created for it. */
export type ResolvedSource =
  | { readonly kind: 'image'; readonly reference: string; readonly imageId: string; readonly config: ImageConfig }
  | { readonly kind: 'host'; readonly path: string }
  | { readonly kind: 'rootfs'; readonly path: string; readonly overlay: boolean }
  | { readonly kind: 'bundle'; readonly path: string; readonly rootfs: string; readonly config: RuntimeConfig };

const CONFIG_MAX_BYTES = 16 * 1024 * 1024;

/** Looks the source up, pulling an image where the policy says so. Creates no container state. Errors: invalid, not-found, those of pull. */
export async function resolveSource(engine: Engine, options: CreateOptions, how: CreateHow): Promise<ResolvedSource> {
  const parsed = parseSource(options.source, options.cwd ?? '/');
  switch (parsed.kind) {
    case 'image': {
      const { imageForRun } = await import('./images.ts');
      return { kind: 'image', ...(await imageForRun(engine, parsed.reference, options, how)) };
    }
    case 'host':
      return { kind: 'host', path: realDirectory(parsed.path, 'host path') };
    case 'rootfs':
      return { ...parsed, path: realDirectory(parsed.path, 'rootfs') };
    case 'bundle':
      return readBundle(realDirectory(parsed.path, 'bundle'));
  }
}

function readBundle(path: string): ResolvedSource {
  const file = join(path, 'config.json');
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (cause) {
    throw new TareError('not-found', `Cannot use bundle ${path}: it has no readable config.json`, { cause });
  }
  if (text.length > CONFIG_MAX_BYTES)
    throw new TareError('invalid', `Cannot use bundle ${path}: config.json is larger than ${CONFIG_MAX_BYTES} bytes`);
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (cause) {
    throw new TareError('invalid', `Cannot use bundle ${path}: config.json is not JSON`, { cause });
  }
  const config = parseRuntimeConfig(json);
  if (config.root === undefined) throw new TareError('invalid', `Cannot use bundle ${path}: config.json has no root`);
  return { kind: 'bundle', path, rootfs: realDirectory(resolve(path, config.root.path), 'root of bundle'), config };
}

/** Makes the writable layer of a container in its directory (or, for an image, in the store). */
export async function prepareSource(
  engine: Engine,
  places: ContainerPlaces,
  resolved: ResolvedSource,
  container: {
    readonly id: string;
    readonly name: string;
    readonly volatile: boolean;
    /** It is started right away: its root file system stays mounted. */
    readonly starts: boolean;
    readonly secrets: boolean;
    /** Whom its ids are on the machine. */
    readonly ids?: MountIds;
  },
): Promise<PreparedSource> {
  switch (resolved.kind) {
    case 'image': {
      const store = await engine.openStore();
      const { rootfs } = await store.createContainer({
        id: container.id,
        name: container.name,
        imageId: resolved.imageId,
        volatile: container.volatile,
        mounted: container.starts,
        metadata: '',
        ...(container.ids === undefined ? {} : { ids: container.ids }),
      });
      const { reference, imageId, config } = resolved;
      return {
        source: { kind: 'image', reference, imageId },
        image: reference,
        rootfs,
        mounts: [],
        masked: [],
        imageConfig: config,
      };
    }
    case 'host': {
      const host = hostRootfs(
        engine,
        places,
        resolved.path,
        container.secrets,
        readFileSync('/proc/self/mountinfo', 'utf8'),
      );
      return {
        source: { kind: 'host', path: resolved.path, secrets: container.secrets },
        image: resolved.path === '/' ? 'host:' : `host:${resolved.path}`,
        rootfs: host.root,
        mounts: host.mounts,
        masked: host.masked,
      };
    }
    case 'rootfs': {
      const { path, overlay } = resolved;
      const rootfs: Mount = overlay
        ? overlayRootfs(engine, places, path)
        : { kind: 'bind', source: path, readOnly: false, recursive: true };
      return {
        source: { kind: 'rootfs', path, overlay },
        image: `rootfs:${path}${overlay ? ':O' : ''}`,
        rootfs,
        mounts: [],
        masked: [],
      };
    }
    case 'bundle':
      return {
        source: { kind: 'bundle', path: resolved.rootfs },
        image: `bundle:${resolved.path}`,
        rootfs: { kind: 'bind', source: resolved.rootfs, readOnly: false, recursive: true },
        mounts: [],
        masked: [],
        bundle: resolved.config,
      };
  }
}
