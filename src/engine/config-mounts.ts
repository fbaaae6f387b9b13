import { mkdirSync } from 'node:fs';
import { TareError } from '../base/errors.ts';
import type { Mount as OciMount } from '../spec/runtime-config.ts';
import type { MountRequest } from './create-options.ts';
import { bindKind } from './source.ts';

/** The user's mounts as OCI mounts, in the order given. Errors: invalid destination; not-found bind source. */
export function requestedMounts(requests: readonly MountRequest[]): OciMount[] {
  const seen = new Set<string>();
  return requests.map((request) => {
    const { destination } = request;
    if (!destination.startsWith('/'))
      throw new TareError('invalid', `Cannot mount on ${destination}: the destination must be absolute`);
    if (destination.replace(/\/+$/, '') === '')
      throw new TareError('invalid', 'Cannot mount on /: that is the root of the container itself');
    if (seen.has(destination)) throw new TareError('invalid', `Cannot mount on ${destination}: two mounts want it`);
    seen.add(destination);
    if (request.type === 'tmpfs') {
      return {
        destination,
        type: 'tmpfs',
        source: 'tmpfs',
        options: ['nosuid', 'nodev', 'noexec', ...request.options],
      };
    }
    if (request.type !== 'bind')
      throw new TareError('internal', `Cannot mount on ${destination}: a ${request.type} is made elsewhere`);
    if (request.createSource === true) mkdirSync(request.source, { recursive: true });
    bindKind(request.source);
    return {
      destination,
      type: 'bind',
      source: request.source,
      options: [
        request.recursive === false ? 'bind' : 'rbind',
        request.propagation ?? 'rprivate',
        request.readOnly || request.options?.includes('rro') === true ? 'ro' : 'rw',
        ...(request.options ?? []),
      ],
    };
  });
}
