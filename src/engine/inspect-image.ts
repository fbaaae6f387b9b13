import { TareError } from '../base/errors.ts';
import { parseImageConfig, type ImageConfig } from '../spec/image-config.ts';
import { parseManifest } from '../spec/manifest.ts';
import type { ImageRecord, Store } from '../storage/mod.ts';
import { healthcheckView } from './healthcheck-view.ts';
import type { Engine } from './engine.ts';
import { findImage } from './find-image.ts';
import { repoDigests } from './list-images.ts';

/**
 * Everything about an image in the shape docker and podman print (Go field names), so that their templates work.
 *
 * Errors: not-found; invalid for an ambiguous id prefix or a damaged config.
 */
export async function inspectImage(engine: Engine, nameOrId: string): Promise<object> {
  const store = await engine.store();
  const image = findImage(store, nameOrId);
  if (image === undefined) throw new TareError('not-found', `Cannot inspect image ${nameOrId}: no such image`);
  const config = parseImageConfig(store.readConfig(image));
  const { platform, process } = config;
  const layers = store.imageLayers(image);
  const [top] = layers;
  const sizeBytes = layers.reduce((sum, layer) => sum + (layer.sizeBytes ?? 0), 0);
  return {
    Id: image.id,
    Digest: image.digest ?? '',
    RepoTags: image.names.filter((name) => !name.includes('@')),
    RepoDigests: repoDigests(image),
    Parent: '',
    Comment: config.history.at(-1)?.comment ?? '',
    NamesHistory: image.namesHistory,
    Created: config.created ?? image.created,
    Author: config.author ?? '',
    Architecture: platform.architecture,
    Os: platform.os,
    Variant: platform.variant ?? '',
    Size: sizeBytes,
    VirtualSize: sizeBytes,
    GraphDriver: { Name: 'overlay', Data: top === undefined ? null : { UpperDir: store.diffPath(top.id) } },
    Config: processView(config),
    RootFS: { Type: 'layers', Layers: config.diffIds },
    Labels: process.labels,
    User: userView(config),
    ...manifestView(store, image),
    History: config.history.map(({ created, createdBy, comment, emptyLayer }) => ({
      created,
      created_by: createdBy,
      comment,
      empty_layer: emptyLayer ? true : undefined,
    })),
  };
}

/** What only the manifest says. */
function manifestView(store: Store, image: ImageRecord): object {
  try {
    const { mediaType, annotations } = parseManifest(store.readManifest(image));
    return { ManifestType: mediaType, Annotations: annotations };
  } catch {
    // Images of old stores have none, or schema 1.
    return { ManifestType: '', Annotations: {} };
  }
}

function userView({ process: { user } }: ImageConfig): string {
  return user === undefined ? '' : [user.user, user.group].filter((part) => part !== undefined).join(':');
}

function processView(config: ImageConfig): object {
  const { process } = config;
  const { healthcheck } = process;
  return {
    User: userView(config),
    Env: process.env,
    Entrypoint: process.entrypoint ?? null,
    Cmd: process.cmd ?? null,
    WorkingDir: process.workingDir ?? '',
    Volumes: Object.fromEntries(process.volumes.map((path) => [path, {}])),
    ExposedPorts: Object.fromEntries(process.exposedPorts.map((port) => [port, {}])),
    Labels: process.labels,
    StopSignal: process.stopSignal ?? '',
    ...(healthcheck === undefined ? {} : { Healthcheck: healthcheckView(healthcheck) }),
  };
}
