import { TareError } from '../base/errors.ts';
import { formatReference, parseReference, withDefaultTag, type Reference } from '../spec/mod.ts';

/** Where an image is, in the words of skopeo and podman. */
export type ImageLocation =
  | { readonly transport: 'docker'; readonly reference: Reference }
  | { readonly transport: 'oci' | 'oci-archive'; readonly path: string; readonly name?: string };

/** Transports of skopeo that Tare knows and does not read. */
const unread = ['containers-storage', 'dir', 'docker-archive', 'docker-daemon', 'ostree', 'sif', 'tarball'];

/**
 * `docker://REFERENCE`, `oci:PATH[:NAME]`, `oci-archive:PATH[:NAME]`, or a plain reference, which means docker://. A name is what the layout calls the image; the path ends at
 * the first colon, as for skopeo. `latest` is added to a bare reference.
 *
 * Errors: `invalid`; `unsupported` for another known transport.
 */
export function parseImageLocation(text: string): ImageLocation {
  const fail = (kind: 'invalid' | 'unsupported', state: string): never => {
    throw new TareError(kind, `Cannot use image ${JSON.stringify(text)}: ${state}`);
  };
  const colon = text.indexOf(':');
  const transport = colon < 0 ? '' : text.slice(0, colon);
  const rest = text.slice(colon + 1);
  if (transport === 'docker') {
    if (!rest.startsWith('//')) return fail('invalid', 'docker: must be followed by //');
    return { transport, reference: withDefaultTag(parseReference(rest.slice(2))) };
  }
  if (transport === 'oci' || transport === 'oci-archive') {
    const end = rest.indexOf(':');
    const path = end < 0 ? rest : rest.slice(0, end);
    const name = end < 0 ? '' : rest.slice(end + 1);
    if (path === '' || path.includes('\0')) return fail('invalid', 'it has no path');
    if (!/^[\w.+@:/-]{0,512}$/.test(name)) return fail('invalid', 'its name has characters that a layout does not use');
    return { transport, path, ...(name !== '' && { name }) };
  }
  if (unread.includes(transport))
    return fail('unsupported', `images cannot be read from ${transport}: yet; skopeo copies them to oci:`);
  return { transport: 'docker', reference: withDefaultTag(parseReference(text)) };
}

/** The text that `parseImageLocation` reads as `location`. */
export function formatImageLocation(location: ImageLocation): string {
  if (location.transport === 'docker') return `docker://${formatReference(location.reference)}`;
  return `${location.transport}:${location.path}${location.name === undefined ? '' : `:${location.name}`}`;
}
