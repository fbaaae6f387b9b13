/** Platforms and the choice among the images of an index (image-spec image-index.md; names as in Go's GOOS and GOARCH). */
import { invalid, shown } from './_document.ts';

/** What an image is made for. In normal form: `arm64` has no `v8`, `amd64` no `v1`, `arm` always a variant. */
export interface Platform {
  readonly os: string;
  readonly architecture: string;
  readonly variant?: string;
}

const aliases: Readonly<Record<string, readonly [architecture: string, variant?: string]>> = {
  x86_64: ['amd64'],
  'x86-64': ['amd64'],
  x64: ['amd64'],
  i386: ['386'],
  i686: ['386'],
  ia32: ['386'],
  aarch64: ['arm64'],
  armhf: ['arm', 'v7'],
  armel: ['arm', 'v6'],
  ppc64el: ['ppc64le'],
};

const part = /^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$/;

/** The normal form: aliases resolved, lower case, the default variant of an architecture left out (`arm`: spelled out, v7). */
export function normalPlatform(os: string, architecture: string, variant?: string): Platform {
  const name = architecture.toLowerCase();
  const [arch, implied] = (Object.hasOwn(aliases, name) ? aliases[name] : undefined) ?? [name];
  let chosen = variant?.toLowerCase() || implied || '';
  if (/^[0-9]+$/.test(chosen)) chosen = `v${chosen}`;
  if (arch === 'arm' && chosen === '') chosen = 'v7';
  if ((arch === 'arm64' && chosen === 'v8') || (arch === 'amd64' && chosen === 'v1')) chosen = '';
  return { os: os.toLowerCase(), architecture: arch, ...(chosen === '' ? {} : { variant: chosen }) };
}

/** `os/arch[/variant]`, or `arch` alone for Linux. Errors: `invalid`. */
export function parsePlatform(text: string): Platform {
  const parts = text.split('/');
  if (parts.length > 3 || !parts.every((p) => part.test(p))) {
    throw invalid(
      `platform ${shown(text)}`,
      'it is not os/architecture or os/architecture/variant, such as linux/arm64',
    );
  }
  if (parts.length === 1) return normalPlatform('linux', parts[0] ?? '');
  return normalPlatform(parts[0] ?? '', parts[1] ?? '', parts[2]);
}

/** `os/arch[/variant]`, which parsePlatform reads back. */
export function formatPlatform(platform: Platform): string {
  const { os, architecture, variant } = platform;
  return variant === undefined ? `${os}/${architecture}` : `${os}/${architecture}/${variant}`;
}

/** The Linux platform of a machine, from `process.arch` or `uname -m`. */
export function hostPlatform(machine: string): Platform {
  // Node names these two after the family; Linux on them is little-endian and 64-bit today.
  const names: Readonly<Record<string, string>> = { ppc64: 'ppc64le', s390: 's390x', armv7l: 'armhf', armv6l: 'armel' };
  return normalPlatform('linux', Object.hasOwn(names, machine) ? (names[machine] ?? machine) : machine);
}

/** The variants that a machine of `wanted` runs, best first; '' is none stated. */
function variantsFor(wanted: Platform): readonly string[] {
  const variant = wanted.variant ?? '';
  const level = /^v([0-9]{1,2})$/.exec(variant);
  const down = (from: number, to: number): string[] =>
    Array.from({ length: Math.max(0, from - to + 1) }, (_, i) => `v${from - i}`);
  switch (wanted.architecture) {
    case 'arm':
      return level ? [...down(Number(level[1]), 5), ''] : [variant, ''];
    case 'arm64':
      return level ? [...down(Number(level[1]), 9), ''] : [variant, ''];
    case 'amd64':
      return level ? [...down(Number(level[1]), 2), ''] : [variant, ''];
    default:
      return variant === '' ? [''] : [variant, ''];
  }
}

/** How well an image for `offered` runs where `wanted` is asked for: 0 is best, undefined is not at all. */
export function platformRank(offered: Platform, wanted: Platform): number | undefined {
  if (offered.os !== wanted.os || offered.architecture !== wanted.architecture) return undefined;
  const rank = variantsFor(wanted).indexOf(offered.variant ?? '');
  return rank < 0 ? undefined : rank;
}

/**
 * The entry to take from an index, as containerd and podman choose: the same os and architecture, the nearest variant that `wanted`
 * runs, the first of equals; failing all that, the first entry that states no platform.
 */
export function choosePlatform<T extends { readonly platform?: Platform }>(
  entries: readonly T[],
  wanted: Platform,
): T | undefined {
  let best: T | undefined;
  let bestRank = Infinity;
  for (const entry of entries) {
    const rank = entry.platform && platformRank(entry.platform, wanted);
    if (rank !== undefined && rank < bestRank) [best, bestRank] = [entry, rank];
  }
  return best ?? entries.find((entry) => entry.platform === undefined);
}
