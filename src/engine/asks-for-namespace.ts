import type { CreateOptions } from './create-options.ts';

/** Whether a container is to have a user namespace of its own; `host` says no, as nothing does. */
export function asksForNamespace(
  options: Pick<CreateOptions, 'userns' | 'uidMap' | 'gidMap' | 'subuidName' | 'subgidName'>,
): boolean {
  const { userns = '', uidMap, gidMap, subuidName, subgidName } = options;
  return (userns !== '' && userns !== 'host') || (uidMap ?? gidMap ?? subuidName ?? subgidName) !== undefined;
}
