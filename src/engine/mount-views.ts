import type { RuntimeConfig } from '../spec/runtime-config.ts';
import type { Engine } from './engine.ts';
import type { ContainerRecord, RecordedMount } from './record.ts';
import { DATA, volumePath } from './volumes/volume.ts';

/** What the user and the image wanted mounted, in the shape docker and podman print; not what every container has. */
export function mountViews(engine: Engine, record: ContainerRecord, config: RuntimeConfig): object[] {
  return userMounts(record).map((mount) => {
    const made = config.mounts?.find(({ destination }) => destination === mount.destination);
    const options = made?.options ?? [];
    const propagation = options.find((option) => /^r?(private|shared|slave)$/.test(option)) ?? '';
    const isOption = (option: string): boolean => option !== propagation && !/^(ro|rw|bind)$/.test(option);
    return {
      Type: mount.type,
      // Also where there is none: templates name it.
      Name: mount.type === 'volume' ? (mount.name ?? '') : '',
      Source: sourceOf(engine, mount),
      Destination: mount.destination,
      Driver: mount.type === 'volume' ? 'local' : '',
      Mode: '',
      Options: options.filter(isOption),
      RW: isWritable(mount),
      Propagation: propagation,
      ...('subpath' in mount && mount.subpath !== undefined ? { SubPath: mount.subpath } : {}),
    };
  });
}

/** Binds and volumes with names as `-v` takes them. */
export function bindsView(engine: Engine, record: ContainerRecord): string[] {
  return userMounts(record).flatMap((mount) => {
    if (mount.type !== 'bind' && (mount.type !== 'volume' || mount.name === undefined)) return [];
    const source = mount.type === 'bind' ? sourceOf(engine, mount) : mount.name;
    return [`${source}:${mount.destination}:${isWritable(mount) ? 'rw' : 'ro'}`];
  });
}

/** Sources for `ps`: names of volumes and images, paths of the machine. */
export function mountSources(record: ContainerRecord): string[] {
  return userMounts(record).flatMap((mount) => {
    if (mount.type === 'volume') return mount.name === undefined ? [] : [mount.name];
    return mount.type === 'tmpfs' ? [] : [mount.type === 'image' ? mount.image : mount.source];
  });
}

/** What a filter may call each mount by. */
export function mountWords(
  engine: Engine,
  record: ContainerRecord,
): readonly { readonly sources: readonly string[]; readonly destination: string }[] {
  return userMounts(record).map((mount) => {
    const name = mount.type === 'volume' && mount.name !== undefined ? [mount.name] : [];
    return { sources: [...name, sourceOf(engine, mount)], destination: mount.destination };
  });
}

/** A container of an older Tare has none of its own, and only binds and tmpfs. */
function userMounts(record: ContainerRecord): readonly RecordedMount[] {
  return record.mounts ?? ((record.created?.mounts ?? []) as readonly RecordedMount[]);
}

function sourceOf(engine: Engine, mount: RecordedMount): string {
  switch (mount.type) {
    case 'bind':
      return mount.source;
    case 'volume':
      return mount.name === undefined ? '' : volumePath(engine, mount.name, DATA);
    case 'image':
      return mount.image;
    case 'tmpfs':
      return '';
  }
}

function isWritable(mount: RecordedMount): boolean {
  if (mount.type === 'tmpfs') return !mount.options.includes('ro');
  return mount.type === 'image' ? mount.writable === true : !mount.readOnly;
}
