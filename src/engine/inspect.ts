import { join } from 'node:path';
import { TareError } from '../base/errors.ts';
import { readExit } from '../runtime/state.ts';
import { formatEgress } from '../network/egress.ts';
import { scopeOf } from '../runtime/cgroup/scope-path.ts';
import type { IdMapping, RuntimeConfig } from '../spec/runtime-config.ts';
import { signalName } from '../spec/signals.ts';
import { bindsView, mountViews } from './mount-views.ts';
import { healthView, healthcheckView } from './healthcheck-view.ts';
import type { Engine } from './engine.ts';
import { type ContainerSummary, isLive, summarize } from './list.ts';
import { resolveContainer } from './names.ts';
import { type ContainerRecord, LOG_NAME, containerDir, diskDir, readConfig, readRecord } from './record.ts';
import { networkHolder } from './holds-networks.ts';
import { portBindings } from './port-bindings.ts';
import { reconcile } from './reconcile.ts';
import type { SecretUse } from './secrets/use.ts';
import { readHealth, readRestart } from './supervision-state.ts';

/**
 * Everything about a container in the shape docker and podman print (Go field names), so that their templates work.
 * A container whose monitor died is collected first. Errors: not-found.
 */
export async function inspectContainer(engine: Engine, nameOrId: string): Promise<object> {
  const id = resolveContainer(engine, nameOrId);
  await reconcile(engine, id);
  const summary = summarize(engine, id);
  if (summary === undefined)
    throw new TareError('not-found', `Cannot inspect container ${nameOrId}: no such container`);
  const record = readRecord(engine, id);
  const config = readConfig(engine, id);
  const restart = readRestart(containerDir(engine, id));
  const health = readHealth(containerDir(engine, id), record);
  const exit =
    summary.state === 'exited' || summary.state === 'restarting' ? readExit(containerDir(engine, id)) : undefined;
  const process = config.process;
  const resources = config.linux?.resources;
  return {
    Id: id,
    Created: record.createdAt,
    Path: record.command[0] ?? '',
    Args: record.command.slice(1),
    Name: record.name,
    State: {
      Status: summary.state,
      Running: isLive(summary),
      Paused: summary.state === 'paused',
      Restarting: summary.state === 'restarting',
      OOMKilled: exit?.oom ?? false,
      Dead: summary.state === 'dead',
      Pid: summary.pid ?? 0,
      ExitCode: summary.exitCode ?? 0,
      StartedAt: summary.startedAt ?? '0001-01-01T00:00:00Z',
      FinishedAt: summary.finishedAt ?? '0001-01-01T00:00:00Z',
      StoppedByUser: exit?.stopped === true,
      ...(health === undefined ? {} : { Health: healthView(health) }),
    },
    RestartCount: restart.count,
    Image: record.source.kind === 'image' ? record.source.imageId : '',
    ImageName: record.image,
    Source: record.source,
    Pod: record.pod?.id ?? '',
    LogPath: record.log === undefined ? '' : join(diskDir(engine, record), LOG_NAME),
    Config: {
      Hostname: config.hostname ?? '',
      User: `${process?.user.uid ?? 0}:${process?.user.gid ?? 0}`,
      Tty: record.terminal,
      OpenStdin: record.openStdin,
      Env: process?.env ?? [],
      Cmd: record.command,
      Image: record.image,
      WorkingDir: process?.cwd ?? '/',
      Labels: record.labels,
      StopSignal: signalName(record.stopSignal),
      StopTimeout: record.stopTimeoutMs / 1000,
      Timeout: (record.timeoutMs ?? 0) / 1000,
      ...(record.secrets === undefined ? {} : { Secrets: record.secrets.map(secretView) }),
      ...(record.healthcheck === undefined ? {} : { Healthcheck: healthcheckView(record.healthcheck) }),
    },
    HostConfig: {
      NetworkMode: networkMode(record),
      ...sharedModes(record),
      ...(record.net === undefined ? {} : { PortBindings: portBindings(record.net) }),
      ...(record.net?.egress === undefined ? {} : { Egress: formatEgress(record.net.egress) }),
      Binds: bindsView(engine, record),
      AutoRemove: record.autoRemove,
      Privileged: record.privileged,
      Init: record.init,
      ReadonlyRootfs: config.root?.readonly ?? false,
      CapabilitiesBounding: process?.capabilities?.bounding ?? [],
      Memory: resources?.memory?.limit ?? 0,
      MemorySwap: resources?.memory?.swap ?? 0,
      MemoryReservation: resources?.memory?.reservation ?? 0,
      CpuShares: resources?.cpu?.shares ?? 0,
      CpuQuota: resources?.cpu?.quota ?? 0,
      CpuPeriod: resources?.cpu?.period ?? 0,
      BlkioWeight: resources?.blockIO?.weight ?? 0,
      NanoCpus: nanoCpus(resources?.cpu?.quota, resources?.cpu?.period),
      CpusetCpus: resources?.cpu?.cpus ?? '',
      CpusetMems: resources?.cpu?.mems ?? '',
      PidsLimit: resources?.pids?.limit ?? 0,
      RestartPolicy: {
        Name: record.restart?.policy ?? 'no',
        MaximumRetryCount: record.restart?.maxRetries ?? 0,
      },
      HealthcheckOnFailureAction: record.healthOnFailure ?? 'none',
      LogConfig: { Type: record.logDriver, Config: logConfig(record) },
      CgroupManager: scopeOf(record.cgroupPath) === undefined ? 'cgroupfs' : 'systemd',
      CgroupPath: record.cgroupPath,
      ...namespaceView(config.linux),
      Ulimits: (process?.rlimits ?? []).map((limit) => ({ Name: limit.type, Soft: limit.soft, Hard: limit.hard })),
    },
    NetworkSettings:
      record.net === undefined
        ? { Networks: { [record.network]: {} } }
        : (await import('./network-view.ts')).networkSettings(engine, ...networked(engine, record, summary)),
    Mounts: mountViews(engine, record, config),
  };
}

function networked(
  engine: Engine,
  record: ContainerRecord,
  summary: ContainerSummary,
): [ContainerRecord, ContainerSummary] {
  const holder = networkHolder(record);
  const sandbox = holder === record.id ? undefined : summarize(engine, holder);
  return sandbox === undefined ? [record, summary] : [readRecord(engine, holder), sandbox];
}

/** As podman says whose the other namespaces are. */
function sharedModes({ pod }: ContainerRecord): Record<string, string> {
  const modes = { ipc: 'IpcMode', pid: 'PidMode', uts: 'UTSMode', cgroup: 'Cgroup' } as const;
  return Object.fromEntries(
    (pod?.shares ?? []).flatMap((share) => (share === 'net' ? [] : [[modes[share], `container:${pod?.id}`]])),
  ) as Record<string, string>;
}

/** As docker says it: the first network, `container:ID`, `ns:PATH`. */
function networkMode({ network, net }: ContainerRecord): string {
  return net?.of === undefined ? (net?.join[0]?.network ?? network) : `${network}:${net.of}`;
}

/** As podman has it: also of `auto` it shows what came of it. */
function namespaceView(linux: RuntimeConfig['linux']): object {
  const map = (mappings: readonly IdMapping[] | undefined): string[] =>
    (mappings ?? []).map(({ containerID, hostID, size }) => `${containerID}:${hostID}:${size}`);
  if (linux?.namespaces?.some(({ type }) => type === 'user') !== true) return { UsernsMode: '' };
  return {
    UsernsMode: 'private',
    IDMappings: { UidMap: map(linux.uidMappings), GidMap: map(linux.gidMappings) },
  };
}

/** The value is nobody's to see. */
function secretView({ name, id, uid, gid, mode }: SecretUse): object {
  return { Name: name, ID: id, UID: uid, GID: gid, Mode: mode };
}

function nanoCpus(quota: number | undefined, period: number | undefined): number {
  return quota === undefined || period === undefined || quota < 0 ? 0 : Math.round((quota / period) * 1e9);
}

function logConfig(record: ContainerRecord): Record<string, string> {
  if (record.log === undefined || record.log.maxBytes === 0) return {};
  return { 'max-size': String(record.log.maxBytes), 'max-file': String(record.log.maxFiles) };
}
