import { TareError } from '../../base/errors.ts';
import type { NamespaceType } from '../../spec/runtime-types.ts';
import type { SharedNamespace } from './pod.ts';

/** As podman has it. */
const standard: readonly SharedNamespace[] = ['ipc', 'net', 'uts'];

/** The namespaces of podman's words. */
export const namespaceOf: Readonly<Record<SharedNamespace, NamespaceType>> = {
  cgroup: 'cgroup',
  ipc: 'ipc',
  net: 'network',
  pid: 'pid',
  uts: 'uts',
};

/** Reads `ipc,net,uts`; `none`; `+pid`: besides the standard ones. Errors: invalid; unsupported for the user namespace. */
export function parseShares(text: string | undefined): readonly SharedNamespace[] {
  if (text === undefined) return standard;
  const adds = text.startsWith('+');
  const words = (adds ? text.slice(1) : text).split(',').map((word) => word.trim());
  const named = words.filter((word) => word !== '' && word !== 'none');
  for (const word of named) {
    if (word === 'user')
      throw new TareError(
        'unsupported',
        'Cannot use --share user: the containers of a pod have the user namespace of whoever makes it; leave it away',
      );
    if (!Object.hasOwn(namespaceOf, word))
      throw new TareError(
        'invalid',
        `Cannot use --share ${text}: expected none, or some of cgroup, ipc, net, pid and uts`,
      );
  }
  return [...new Set([...(adds ? standard : []), ...(named as SharedNamespace[])])].toSorted();
}
