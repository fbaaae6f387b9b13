import { containerSize } from '../engine/container-size.ts';
import { externalContainers } from '../engine/external-containers.ts';
import type { ContainerSummary } from '../engine/list.ts';
import { processNamespaces } from '../engine/process-namespaces.ts';
import { mountSources } from '../engine/mount-views.ts';
import { readRecord } from '../engine/record.ts';
import { isKind } from '../base/errors.ts';
import type { Context } from './context.ts';
import { humanSize } from './human.ts';
import { psRow } from './ps-row.ts';
import type { Row } from './rows.ts';

/** What `ps --ns` shows. */
export const nsColumns = ['ID', 'Names', 'Pid', 'CGROUPNS', 'IPC', 'MNT', 'NET', 'PIDNS', 'USERNS', 'UTS'] as const;

/** Sizes of containers, in bytes: what each has written, and with its image. One that is gone has none. */
export async function psSizes(
  context: Context,
  containers: readonly ContainerSummary[],
): Promise<ReadonlyMap<string, { readonly rwSize: number; readonly rootFsSize: number }>> {
  const sizes = new Map<string, { rwSize: number; rootFsSize: number }>();
  for (const { id } of containers) {
    try {
      const { writableBytes, totalBytes } = await containerSize(context.engine, id);
      sizes.set(id, { rwSize: writableBytes, rootFsSize: totalBytes });
    } catch (error) {
      if (!isKind(error, 'not-found')) throw error;
    }
  }
  return sizes;
}

/** "2B (virtual 7.8MB)". */
export function sizeText(size: { readonly rwSize: number; readonly rootFsSize: number } | undefined): string {
  return size === undefined ? '' : `${humanSize(size.rwSize)} (virtual ${humanSize(size.rootFsSize)})`;
}

/** The namespaces of a container's first process: podman's fields. */
export function namespaceFields({ pid }: ContainerSummary): Row {
  const { cgroup, ipc, mnt, net, pid: pidns, user, uts } = processNamespaces(pid);
  return { CGROUPNS: cgroup, IPC: ipc, MNT: mnt, NET: net, PIDNS: pidns, USERNS: user, UTS: uts };
}

/** What the user mounted: paths, volumes and images. */
export function mountsText(context: Context, { id }: ContainerSummary): string {
  try {
    return mountSources(readRecord(context.engine, id)).join(',');
  } catch (error) {
    if (isKind(error, 'not-found')) return '';
    throw error;
  }
}

/** Orders containers by a word of `ps --sort`; `created` is newest first, as without a wish. */
export function sortContainers(
  containers: readonly ContainerSummary[],
  order: string,
  sizes: ReadonlyMap<string, { readonly rwSize: number }>,
): ContainerSummary[] {
  const keys: Readonly<Record<string, (container: ContainerSummary) => string>> = {
    command: ({ command }) => command.join(' '),
    runningfor: ({ createdAt }) => createdAt,
    id: ({ id }) => id,
    image: ({ image }) => image,
    names: ({ name }) => name,
    status: ({ state }) => state,
  };
  if (order === 'size')
    return containers.toSorted((a, b) => (sizes.get(a.id)?.rwSize ?? 0) - (sizes.get(b.id)?.rwSize ?? 0));
  const key = Object.hasOwn(keys, order) ? keys[order] : undefined;
  if (key === undefined) return [...containers];
  return containers.toSorted((a, b) => (key(a) < key(b) ? -1 : key(a) > key(b) ? 1 : 0));
}

/** What `--external` adds: other engines' containers, whose state is not known here. */
export async function externalRows(context: Context, full: boolean): Promise<Row[]> {
  const now = context.now();
  return (await externalContainers(context.engine)).map((container): Row => {
    const row = psRow({ ...container, command: ['storage'], state: 'created', labels: {}, network: '' }, now, full);
    return { ...row, Status: 'Storage', State: 'unknown', Size: '', Mounts: '' };
  });
}

/** The same for `--format json`: podman's fields. */
export async function externalJson(context: Context): Promise<object[]> {
  return (await externalContainers(context.engine)).map(({ id, name, image, imageId, createdAt }) => ({
    Id: id,
    Names: [name],
    Image: image,
    ImageID: imageId ?? '',
    Command: ['storage'],
    Created: Math.floor(Date.parse(createdAt) / 1000),
    CreatedAt: createdAt,
    State: 'unknown',
    Status: 'Storage',
    External: true,
  }));
}
