import { TareError } from '../base/errors.ts';
import { imageOf, type Row, texts } from './record.ts';

/**
 * Finds an image by name (`registry/path:tag`), by `registry/path@digest`, by id or by a unique prefix of it, in this order.
 *
 * Errors: `invalid` when a prefix fits several images.
 */
export function findImage(rows: readonly Row[], reference: string): Row | undefined {
  const named = rows.find((row) => texts(row.raw, 'names').includes(reference));
  if (named !== undefined) return named;
  const at = reference.indexOf('@');
  if (at > 0) {
    const repository = repositoryOf(reference.slice(0, at));
    const digest = reference.slice(at + 1);
    return rows.find((row) => {
      const image = imageOf(row);
      return (
        image.digests.some((known) => known === digest) &&
        [...image.names, ...texts(row.raw, 'names-history')].some((name) => repositoryOf(name) === repository)
      );
    });
  }
  const id = reference.startsWith('sha256:') ? reference.slice(7) : reference;
  if (!/^[0-9a-f]{1,64}$/.test(id)) return undefined;
  const fitting = rows.filter((row) => row.id.startsWith(id));
  if (fitting.length > 1)
    throw new TareError('invalid', `Cannot choose image ${reference}: ${fitting.length} ids begin like that`);
  return fitting[0];
}

/** `registry:port/path` of a name, without tag and digest. */
function repositoryOf(name: string): string {
  const bare = name.split('@', 1)[0] ?? name;
  const colon = bare.lastIndexOf(':');
  return colon > bare.lastIndexOf('/') ? bare.slice(0, colon) : bare;
}

export function requireImage(rows: readonly Row[], reference: string): Row {
  const row = findImage(rows, reference);
  if (row === undefined)
    throw new TareError('not-found', `Cannot find image ${reference}: there is none of that name or id`);
  return row;
}
