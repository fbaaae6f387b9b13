import type { Engine } from '../engine/engine.ts';
import { findImage } from '../engine/images.ts';
import { parseImageConfig } from '../spec/image-config.ts';

/** An image in the shape docker and podman print. Undefined when there is none. */
export async function inspectImage(engine: Engine, name: string): Promise<object | undefined> {
  const store = await engine.store();
  const image = findImage(store, name);
  if (image === undefined) return undefined;
  const config = parseImageConfig(store.readConfig(image));
  const { process, platform } = config;
  return {
    Id: image.id,
    Digest: image.digest ?? '',
    RepoTags: image.names,
    RepoDigests: image.digests,
    Created: config.created ?? image.created,
    Author: config.author ?? '',
    Architecture: platform.architecture,
    Os: platform.os,
    Variant: platform.variant ?? '',
    Size: store.imageLayers(image).reduce((sum, layer) => sum + (layer.sizeBytes ?? 0), 0),
    Config: {
      User:
        process.user === undefined
          ? ''
          : [process.user.user, process.user.group].filter((part) => part !== undefined).join(':'),
      Env: process.env,
      Entrypoint: process.entrypoint ?? null,
      Cmd: process.cmd ?? null,
      WorkingDir: process.workingDir ?? '',
      Volumes: Object.fromEntries(process.volumes.map((path) => [path, {}])),
      ExposedPorts: Object.fromEntries(process.exposedPorts.map((port) => [port, {}])),
      Labels: process.labels,
      StopSignal: process.stopSignal ?? '',
    },
    RootFS: { Type: 'layers', Layers: config.diffIds },
    History: config.history.map(({ created, createdBy, comment, emptyLayer }) => ({
      created,
      created_by: createdBy,
      comment,
      empty_layer: emptyLayer ? true : undefined,
    })),
  };
}
