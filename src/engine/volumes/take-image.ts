import { TareError } from '../../base/errors.ts';
import type { Mount as OciMount } from '../../spec/runtime-config.ts';
import type { MountRequest, CreateOptions } from '../create-options.ts';
import type { Engine } from '../engine.ts';
import { findImage } from '../find-image.ts';
import { giveUpper } from '../map-owners.ts';
import type { RecordedMount } from '../record.ts';
import { shortId } from '../ids.ts';
import type { UserNamespace } from '../user-namespace.ts';

type ImageRequest = Extract<MountRequest, { type: 'image' }>;

/**
 * The id that the `index`-th image mount of a container has in the image store, as a container there: it keeps the image from being deleted, by other tools too, and has the layer that takes changes. It follows from
 * the container's id, so that whoever removes the container finds it without a record.
 */
export function imageMountId(containerId: string, index: number): string {
  const at = index % containerId.length;
  return containerId.slice(at) + containerId.slice(0, at);
}

/** In the metadata of such a container. */
export const MOUNT_OF = 'tare-mount-of';

/** As many images can be mounted: ids begin again then. */
const MAX_IMAGES = 32;

/** Keeps an image of the store for a container. Errors: not-found; unsupported. */
export async function takeImage(
  engine: Engine,
  container: {
    readonly id: string;
    readonly options: CreateOptions;
    readonly namespace?: UserNamespace;
    readonly mapped: boolean;
    readonly ephemeral: boolean;
  },
  request: ImageRequest,
  index: number,
): Promise<{ readonly mount: OciMount; readonly recorded: RecordedMount }> {
  const doing = `Cannot mount image ${request.image} on ${request.destination}`;
  if (index > MAX_IMAGES) throw new TareError('invalid', `${doing}: more than ${MAX_IMAGES} images`);
  if (request.subpath?.split('/').includes('..') === true || request.subpath?.startsWith('/') === true)
    throw new TareError(
      'invalid',
      `${doing}: subpath ${JSON.stringify(request.subpath)} must be relative and without ..`,
    );
  const store = await engine.openStore();
  const image = findImage(store, request.image);
  if (image === undefined)
    throw new TareError('not-found', `${doing}: no such image; pull it first (tare pull ${request.image})`);
  const layerOf = imageMountId(container.id, index);
  const { rootfs } = await store.createContainer({
    id: layerOf,
    name: `tare-${shortId(container.id)}-image-${index}`,
    imageId: image.id,
    volatile: container.ephemeral,
    metadata: JSON.stringify({ [MOUNT_OF]: container.id }),
  });
  if (request.writable === true && container.namespace !== undefined && container.mapped)
    giveUpper(rootfs.upper ?? '', container.namespace);
  return {
    mount: {
      destination: request.destination,
      type: 'bind',
      // Opened at each start: by this name nobody opens anything.
      source: `image:${image.id}`,
      options: ['bind', 'rprivate', request.writable === true ? 'rw' : 'ro', 'nosuid', 'nodev'],
    },
    recorded: { ...request, imageId: image.id, layerOf },
  };
}
