import { defaultPath } from '../runtime/default-paths.ts';

/** Where a container's environment comes from; later sources win. */
export interface EnvironmentInput {
  readonly image: readonly string[];
  readonly user: readonly string[];
  readonly home: string;
  readonly hostname: string;
  readonly terminal: boolean;
}

/** Merges defaults, the image's and the user's variables, keeping the order in which names first appear. Values are data, never expanded. */
export function environment(input: EnvironmentInput): string[] {
  const merged = new Map<string, string>([
    ['PATH', defaultPath],
    ['HOSTNAME', input.hostname],
    ...(input.terminal ? ([['TERM', 'xterm']] as const) : []),
    ['container', 'tare'],
  ]);
  for (const entry of [...input.image, ...input.user]) {
    const at = entry.indexOf('=');
    if (at > 0) merged.set(entry.slice(0, at), entry.slice(at + 1));
  }
  if (!merged.has('HOME')) merged.set('HOME', input.home);
  return [...merged].map(([name, value]) => `${name}=${value}`);
}
