import { TareError } from '../../base/errors.ts';
import type { Engine } from '../engine.ts';
import { portBindings } from '../port-bindings.ts';
import { onePod } from './list-pods.ts';
import { readPod, resolvePod } from './pod.ts';

/** Everything about a pod in the shape podman prints. What dead processes left is collected first. Errors: not-found. */
export async function inspectPod(engine: Engine, nameOrId: string): Promise<object> {
  const id = resolvePod(engine, nameOrId);
  const summary = await onePod(engine, id);
  if (summary === undefined) throw new TareError('not-found', `Cannot inspect pod ${nameOrId}: no such pod`);
  const { sandbox, network, net, names } = readPod(engine, id);
  const { created, resources } = sandbox;
  return {
    Id: id,
    Name: summary.name,
    Created: summary.createdAt,
    ExitPolicy: summary.exitPolicy,
    State: summary.state,
    Hostname: sandbox.shares.includes('uts') ? (created.hostname ?? summary.name) : '',
    Labels: summary.labels,
    CreateCgroup: summary.cgroupPath !== undefined,
    CgroupParent: summary.cgroupPath?.replace(/\/[^/]*$/, '') ?? '',
    CgroupPath: summary.cgroupPath ?? '',
    CreateInfra: sandbox.infra,
    ...(sandbox.infra
      ? {
          InfraContainerID: id,
          InfraConfig: {
            PortBindings: portBindings(net),
            HostNetwork: network === 'host',
            StaticIP: created.ip ?? '',
            StaticMAC: created.macAddress ?? '',
            DNSServer: names?.dns ?? [],
            DNSSearch: names?.dnsSearch ?? [],
            DNSOption: names?.dnsOptions ?? [],
            HostAdd: names?.addHosts ?? [],
            Networks: summary.networks,
            NetworkOptions: null,
            pid_ns: 'private',
            userns: 'host',
            uts_ns: 'private',
          },
        }
      : {}),
    SharedNamespaces: sandbox.shares,
    RestartPolicy: created.restart?.policy ?? '',
    NumContainers: summary.containers.length,
    Containers: summary.containers.map(({ id: member, name, state }) => ({ Id: member, Name: name, State: state })),
    cpu_period: resources.cpu?.period ?? 0,
    cpu_quota: resources.cpu?.quota ?? 0,
    cpu_shares: resources.cpu?.shares ?? 0,
    cpuset_cpus: resources.cpu?.cpus ?? '',
    memory_limit: resources.memory?.limit ?? 0,
    memory_swap: resources.memory?.swap ?? 0,
    blkio_weight: resources.blockIO?.weight ?? 0,
    pids_limit: resources.pids?.limit ?? 0,
  };
}
