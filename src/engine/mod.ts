/**
 * The use cases: one file each, the only place that wires storage, images, runtime and monitors together. Doors call these and print.
 *
 * A container is a directory with a phase and a life lock (docs/decisions/0004-life-is-a-lock.md). Read in this order: engine.ts (paths),
 * run.ts (the story of a start), create.ts, build-config.ts (image and flags to OCI config), launch.ts (config to monitor), reconcile.ts (what the
 * next command does about a crash), remove.ts; then the verbs: exec, attach, stop, wait, list, logs, inspect, diff, images.
 */
export { attachContainer } from './attach.ts';
export { checkHealth } from './check-health.ts';
export { cleanupContainer } from './cleanup.ts';
export { commitContainer, type CommitOptions, type CommittedImage } from './commit.ts';
export { type Copied, copyFiles, copyIn, copyOut, type CopyEnd, type CopyOptions } from './copy.ts';
export { cloneContainer, type CloneOptions } from './clone.ts';
export { createContainer, type CreateHow } from './create.ts';
export type { CreateOptions, ExecOptions, MountRequest, ResourceLimits } from './create-options.ts';
export { diffContainer, type Change } from './diff.ts';
export { containerActor, emit } from './emit.ts';
export { createEngine, ensureLayout, type Engine, type EngineOptions } from './engine.ts';
export { eventFilterKeys, type EventFilters } from './event-filter.ts';
export type { ContainerAction, EventType, ImageAction, NewEvent, TareEvent } from './event.ts';
export { execContainer, type ExecIo, type ExecSession } from './exec.ts';
export { exportContainer } from './export.ts';
export type { HealthOptions } from './health-options.ts';
export { imageHistory, type HistoryLine } from './history.ts';
export type { ImagePlaceOptions } from './image-places.ts';
export { imageForRun, pullImage, removeImage, type PulledImage, type PullImageOptions } from './images.ts';
export { importImage, type ImportImageOptions, type MadeImage } from './import-image.ts';
export { engineInfo, engineVersion, type EngineInfo, type VersionInfo } from './info.ts';
export { lacksOf, type Lack } from './lacks.ts';
export { readMachine, type Machine } from './machine.ts';
export { containerSize, type ContainerSize } from './container-size.ts';
export { externalContainers, type ExternalContainer } from './external-containers.ts';
export { imageFamily } from './image-family.ts';
export { pruneImages, type PruneImagesOptions } from './prune-images.ts';
export { installUnits, restartUnit, type InstalledUnit } from './install-units.ts';
export { initializeContainer } from './initialize.ts';
export { inspectContainer } from './inspect.ts';
export { inspectImage } from './inspect-image.ts';
export { LaunchError } from './launch-error.ts';
export { collectedContainers, listContainers, type ContainerState, type ContainerSummary } from './list.ts';
export { checkLogin, existingLogin, login, logout, logoutAll, parseLoginKey, type LoginKey } from './login.ts';
export { listImages, type ImageSummary } from './list-images.ts';
export { loadImages, type LoadedImage, type LoadImagesOptions } from './load.ts';
export { readLogs, type LogOptions, type LogRecord } from './logs.ts';
export { resolveContainer } from './names.ts';
export { pauseContainer, unpauseContainer } from './pause.ts';
export { printContainerPlan } from './plan.ts';
export { pushImage, type PushedImage, type PushImageOptions } from './push.ts';
export { readEvents, type EventOptions } from './read-events.ts';
export { reconcile, reconcileAll } from './reconcile.ts';
export type { ContainerRecord, LogDriver, RestartPolicy, Source } from './record.ts';
export { registriesFor, type RegistryAccess } from './registries.ts';
export { diskUsage, type DiskUsage } from './disk-usage.ts';
export { pruneContainers, type PruneContainersOptions } from './prune-containers.ts';
export { pruneSystem, type PrunedSystem } from './prune-system.ts';
export { removeContainer, type RemoveOptions } from './remove.ts';
export { renameContainer } from './rename.ts';
export { restartContainer } from './restart.ts';
export { runContainer, type RunHow } from './run.ts';
export type { OutputHandler, Running } from './running.ts';
export { saveImages, type SaveFormat, type SaveImagesOptions } from './save.ts';
export { startContainer, type StartHow } from './start.ts';
export { migrate } from './migrate.ts';
export { rootlessUser, type RootlessUser } from './rootless.ts';
export { killContainer, stopContainer, type StopOptions } from './stop.ts';
export type { HealthResult, HealthState, HealthStatus, RestartState } from './supervision-state.ts';
export { startable } from './startable.ts';
export { containerStats, type StatsOptions, type StatsSample } from './stats.ts';
export { tagImage, untagImage } from './tag.ts';
export { unshare } from './unshare.ts';
export { containerProcesses, type ProcessTable } from './top.ts';
export { updateContainer, type ContainerUpdate } from './update.ts';
export { waitContainer, type WaitOptions } from './wait.ts';
