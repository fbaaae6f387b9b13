import { TareError } from '../base/errors.ts';
import { parseImageConfig, type ImageConfig } from '../spec/image-config.ts';
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
  const { platform } = config;
  return {
    Id: image.id,
    Digest: image.digest ?? '',
    RepoTags: image.names.filter((name) => !name.includes('@')),
    RepoDigests: repoDigests(image),
    NamesHistory: image.namesHistory,
    Created: config.created ?? image.created,
    Author: config.author ?? '',
    Architecture: platform.architecture,
    Os: platform.os,
    Variant: platform.variant ?? '',
    Size: store.imageLayers(image).reduce((sum, layer) => sum + (layer.sizeBytes ?? 0), 0),
    Config: processView(config),
    RootFS: { Type: 'layers', Layers: config.diffIds },
    History: config.history.map(({ created, createdBy, comment, emptyLayer }) => ({
      created,
      created_by: createdBy,
      comment,
      empty_layer: emptyLayer ? true : undefined,
    })),
  };
}

function processView({ process }: ImageConfig): object {
  const { user, healthcheck } = process;
  return {
    User: user === undefined ? '' : [user.user, user.group].filter((part) => part !== undefined).join(':'),
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
