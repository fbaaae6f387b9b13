import { parseImageConfig } from '../spec/image-config.ts';
import type { Engine } from './engine.ts';
import { storedImage } from './find-image.ts';

/** One step of an image's making. */
export interface HistoryLine {
  /** The image, for its newest step; other steps have none here. */
  readonly id?: string;
  /** RFC 3339. */
  readonly created?: string;
  readonly createdBy: string;
  readonly comment: string;
  /** Of the layer that the step made, uncompressed; 0 for none. */
  readonly sizeBytes: number;
  readonly isEmptyLayer: boolean;
  /** Names of the image, for its newest step. */
  readonly tags: readonly string[];
}

/** How an image was made, newest step first, as its config says. Layers that no step tells of are listed as such. Errors: `not-found`, `invalid`. */
export async function imageHistory(engine: Engine, nameOrId: string): Promise<HistoryLine[]> {
  const { store, image } = await storedImage(engine, nameOrId, 'print the history of');
  const { history } = parseImageConfig(store.readConfig(image));
  const layers = store.imageLayers(image).toReversed();
  let next = 0;
  const steps = history.map((step) => ({
    ...(step.created === undefined ? {} : { created: step.created }),
    createdBy: step.createdBy ?? '',
    comment: step.comment ?? '',
    isEmptyLayer: step.emptyLayer,
    sizeBytes: step.emptyLayer ? 0 : (layers[next++]?.sizeBytes ?? 0),
    tags: [],
  }));
  const untold = layers.slice(next).map((layer) => ({
    created: layer.created,
    createdBy: '',
    comment: '',
    isEmptyLayer: false,
    sizeBytes: layer.sizeBytes ?? 0,
    tags: [],
  }));
  return [...steps, ...untold]
    .toReversed()
    .map((line, index) => (index === 0 ? { ...line, id: image.id, tags: image.names } : line));
}
