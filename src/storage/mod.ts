/**
 * The image store: containers/storage's layout on disk with its overlay driver, shared with podman, buildah, skopeo and CRI-O.
 *
 * A store is three tables of records (layers, images, containers), each a JSON file with a lock, and the directories of the overlay driver. Records are read
 * without locks, since files are replaced by rename. A change prepares everything aside, in a temporary directory that a lock file guards, and then takes the
 * write locks (layers, then images, then containers) for one short step. Layers carry an `incomplete` mark while they are put in place or taken away: whoever
 * next holds the write lock deletes what is marked, so a kill at any point leaves nothing half visible.
 *
 * Reading order: store.ts (the whole API), record.ts, table.ts and lock-file.ts, overlay.ts, temp-dir.ts; then the operations: layer-writer.ts,
 * commit-image.ts, containers.ts, image-changes.ts, recover.ts.
 */
export type { ImageCommit } from './commit-image.ts';
export type { ContainerCreate } from './containers.ts';
export type { RemovedImage } from './image-changes.ts';
export type { LayerBlob, LayerWriter, StagedLayer, StageOptions } from './layer-writer.ts';
export type { ContainerRecord, ImageRecord, LayerRecord } from './record.ts';
export { type AutoUserns, readAutoUserns, readStorageConf, type StorageConf } from './storage-conf.ts';
export { Store, type StoreOptions } from './store.ts';
