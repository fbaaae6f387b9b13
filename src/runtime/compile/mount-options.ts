import { invalid, unsupported } from './draft.ts';

/** MOUNT_ATTR_*. */
export const mountAttr = {
  RDONLY: 0x1,
  NOSUID: 0x2,
  NODEV: 0x4,
  NOEXEC: 0x8,
  ATIME: 0x70,
  NOATIME: 0x10,
  STRICTATIME: 0x20,
  NODIRATIME: 0x80,
  NOSYMFOLLOW: 0x200000,
} as const;

const MS_REC = 0x4000;
const propagations: Readonly<Record<string, number>> = {
  unbindable: 0x20000,
  private: 0x40000,
  slave: 0x80000,
  shared: 0x100000,
};

/** Attribute options: what they set and clear. Access time is one field: choosing a value clears the others. */
const attributes: Readonly<Record<string, readonly [set: number, clear: number]>> = {
  ro: [mountAttr.RDONLY, 0],
  rw: [0, mountAttr.RDONLY],
  nosuid: [mountAttr.NOSUID, 0],
  suid: [0, mountAttr.NOSUID],
  nodev: [mountAttr.NODEV, 0],
  dev: [0, mountAttr.NODEV],
  noexec: [mountAttr.NOEXEC, 0],
  exec: [0, mountAttr.NOEXEC],
  nodiratime: [mountAttr.NODIRATIME, 0],
  diratime: [0, mountAttr.NODIRATIME],
  nosymfollow: [mountAttr.NOSYMFOLLOW, 0],
  symfollow: [0, mountAttr.NOSYMFOLLOW],
  noatime: [mountAttr.NOATIME, mountAttr.ATIME],
  strictatime: [mountAttr.STRICTATIME, mountAttr.ATIME],
  relatime: [0, mountAttr.ATIME],
  atime: [0, mountAttr.ATIME],
  norelatime: [0, mountAttr.ATIME],
  nostrictatime: [0, mountAttr.ATIME],
};

/** Opposites of superblock flags are what every file system does by itself; the rest means nothing to the kernel (any more). */
const ignored = new Set([
  'defaults',
  'async',
  'nolazytime',
  'nomand',
  'iversion',
  'noiversion',
  'silent',
  'loud',
  'norbind',
  'nobind',
]);

/** The options of one mount, sorted by who understands them. */
export interface MountOptions {
  readonly bind: boolean;
  /** rbind: sub-mounts come along. */
  readonly recursiveBind: boolean;
  /** MOUNT_ATTR_* to set and clear, later options winning. */
  readonly set: number;
  readonly clear: number;
  /** Attributes apply to the whole tree (rro, rnoexec, ...). */
  readonly recursive: boolean;
  /** MS_* propagation bits; 0 when none was asked for. */
  readonly propagation: number;
  /** For the file system: "key=value" or "flag". */
  readonly data: readonly string[];
  /** tmpcopyup. */
  readonly copyUp: boolean;
  /** idmap and ridmap: other owners are shown, the latter also of sub-mounts. */
  readonly idmap?: 'idmap' | 'ridmap';
}

/** MS_* bits of "private", "rslave", ...; undefined for other words. */
export function propagationBits(word: string): number | undefined {
  if (Object.hasOwn(propagations, word)) return propagations[word];
  const plain = word.slice(1);
  return word.startsWith('r') && Object.hasOwn(propagations, plain) ? (propagations[plain] ?? 0) | MS_REC : undefined;
}

/**
 * Reads the options of an OCI mount (config-linux: "Linux mount options").
 *
 * Errors: `unsupported` for remount, and plain attributes mixed with recursive ones in a way one call cannot express; `invalid` for an
 * empty option or one with a NUL character.
 */
export function parseMountOptions(options: readonly string[], what: string): MountOptions {
  const plain = { set: 0, clear: 0 };
  const deep = { set: 0, clear: 0 };
  let bind = false;
  let recursiveBind = false;
  let copyUp = false;
  let idmap: MountOptions['idmap'];
  let propagation = 0;
  const data: string[] = [];
  const apply = (target: { set: number; clear: number }, [set, clear]: readonly [number, number]): void => {
    target.set = (target.set & ~clear) | set;
    // ATIME stays in `clear` beside its new value: the kernel wants the whole field cleared first.
    target.clear = ((target.clear & ~set) | clear) >>> 0;
  };

  for (const option of options) {
    if (option === '' || option.includes('\0'))
      throw invalid(what, 'one of its options is empty or has a NUL character');
    const attribute = Object.hasOwn(attributes, option) ? attributes[option] : undefined;
    const recursive =
      option.startsWith('r') && Object.hasOwn(attributes, option.slice(1)) ? attributes[option.slice(1)] : undefined;
    const bits = propagationBits(option);
    if (attribute !== undefined) apply(plain, attribute);
    else if (recursive !== undefined) apply(deep, recursive);
    else if (bits !== undefined) propagation = bits;
    else if (option === 'bind') bind = true;
    else if (option === 'rbind') bind = recursiveBind = true;
    else if (option === 'tmpcopyup') copyUp = true;
    else if (option === 'idmap' || option === 'ridmap') idmap = option;
    else if (option === 'remount') throw unsupported(what, `option ${option} is not supported`);
    else if (!ignored.has(option)) data.push(option);
  }
  const isDeep = deep.set !== 0 || deep.clear !== 0;
  // Set for the whole tree is stricter than asked; cleared for the whole tree would be laxer.
  const plainClear = (plain.set & mountAttr.ATIME) === 0 ? plain.clear : plain.clear & ~mountAttr.ATIME;
  if (isDeep && (plainClear & ~deep.clear) !== 0) {
    throw unsupported(what, 'options that clear attributes of the mount alone cannot be mixed with recursive ones');
  }
  return {
    bind,
    recursiveBind,
    set: plain.set | deep.set,
    clear: (plain.clear | deep.clear) >>> 0,
    recursive: isDeep,
    propagation,
    data,
    copyUp,
    ...(idmap === undefined ? {} : { idmap }),
  };
}
