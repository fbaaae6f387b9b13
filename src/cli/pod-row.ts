import type { PodSummary } from '../engine/pods/list-pods.ts';
import { ago } from './human.ts';
import { labelOf, labelsShown } from './labels.ts';
import type { Row } from './rows.ts';

/** The columns of `pod ps`. */
export const podColumns = ['Id', 'Name', 'Status', 'Created', 'InfraID', 'NumberOfContainers'] as const;

/** Headings of `pod ps` where they differ from the field's name. */
export const podHeadings = {
  Id: 'POD ID',
  InfraID: 'INFRA ID',
  NumberOfContainers: '# OF CONTAINERS',
  ContainerIds: 'IDS',
  ContainerNames: 'NAMES',
  ContainerStatuses: 'STATUS',
} as const;

/** A pod as `pod ps` shows it: podman's template fields. */
export function podRow(pod: PodSummary, nowMs: number, full: boolean): Row {
  const id = (text: string): string => (full ? text : text.slice(0, 12));
  return {
    Id: id(pod.id),
    ID: id(pod.id),
    Name: pod.name,
    Status: pod.state,
    Created: ago(pod.createdAt, nowMs),
    CreatedAt: pod.createdAt,
    InfraID: id(pod.infraId ?? ''),
    InfraId: id(pod.infraId ?? ''),
    NumberOfContainers: String(pod.containers.length),
    ContainerIds: pod.containers.map((container) => id(container.id)).join(','),
    ContainerNames: pod.containers.map(({ name }) => name).join(','),
    ContainerStatuses: pod.containers.map(({ state }) => state).join(','),
    Cgroup: pod.cgroupPath ?? '',
    Namespace: '',
    Networks: pod.networks.join(','),
    Labels: labelsShown(pod.labels),
    Label: (key: unknown) => labelOf(pod.labels, key),
  };
}

/** A pod as `pod ps --format json` prints it: podman's fields. */
export function podJson(pod: PodSummary): object {
  return {
    Cgroup: pod.cgroupPath?.replace(/\/[^/]*$/, '') ?? '',
    Containers: pod.containers.map(({ id, name, state }) => ({ Id: id, Names: name, Status: state })),
    Created: pod.createdAt,
    Id: pod.id,
    InfraId: pod.infraId ?? '',
    Name: pod.name,
    Namespace: '',
    Networks: pod.networks,
    Status: pod.state,
    Labels: pod.labels,
  };
}

/** As `--sort` says; without it newest first, as they are. */
export function sortPods(pods: readonly PodSummary[], by: string | undefined): readonly PodSummary[] {
  const key = (pod: PodSummary): string | number =>
    by === 'id' ? pod.id : by === 'name' ? pod.name : by === 'status' ? pod.state : pod.containers.length;
  if (by === undefined || by === 'created') return pods;
  return pods.toSorted((a, b) => (key(a) < key(b) ? -1 : key(a) > key(b) ? 1 : 0));
}
