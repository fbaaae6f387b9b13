import { TareError } from '../base/errors.ts';
import { formatReference, parseReference, withDefaultTag, type Reference } from '../spec/mod.ts';

/** Which image of a place that holds several: by the name it has there, or by its place in the list, from 0. */
export interface ImageChoice {
  readonly name?: string;
  readonly index?: number;
}

/** Where an image is, in the words of skopeo and podman. */
export type ImageLocation =
  | { readonly transport: 'docker'; readonly reference: Reference }
  | ({ readonly transport: FileTransport; readonly path: string } & ImageChoice)
  | { readonly transport: 'dir'; readonly path: string }
  /** In the image store; `image` is a name, an id or the beginning of one. */
  | { readonly transport: 'containers-storage'; readonly image: string };

const fileTransports = ['oci', 'oci-archive', 'docker-archive'] as const;
/** Transports whose place may hold several images. */
export type FileTransport = (typeof fileTransports)[number];

/** Transports of skopeo that Tare knows and does not speak. */
const unspoken = ['docker-daemon', 'ostree', 'sif', 'tarball'];

/**
 * `docker://REFERENCE`, `oci:PATH[:NAME]`, `oci-archive:PATH[:NAME]`, `docker-archive:PATH[:REFERENCE]`, `dir:PATH`, `containers-storage:IMAGE`, or a plain reference, which
 * means docker://. A name is what the place calls the image; `@N` instead of it is the N-th, from 0. The path ends at the first colon, as for skopeo. `latest` is
 * added to a bare reference.
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
  const fileTransport = fileTransports.find((known) => known === transport);
  if (fileTransport !== undefined) {
    const end = rest.indexOf(':');
    const path = end < 0 ? rest : rest.slice(0, end);
    if (path === '' || path.includes('\0')) return fail('invalid', 'it has no path');
    const name = end < 0 ? '' : rest.slice(end + 1);
    const index = /^@(\d{1,6})$/.exec(name)?.[1];
    if (index !== undefined) return { transport: fileTransport, path, index: Number(index) };
    if (!/^[\w.+@:/-]{0,512}$/.test(name)) return fail('invalid', 'its name has characters that a layout does not use');
    if (name !== '' && fileTransport === 'docker-archive') parseReference(name);
    return { transport: fileTransport, path, ...(name !== '' && { name }) };
  }
  if (transport === 'dir') {
    if (rest === '' || rest.includes('\0')) return fail('invalid', 'it has no path');
    return { transport, path: rest };
  }
  if (transport === 'containers-storage') {
    if (rest.startsWith('[')) return fail('unsupported', 'another store is chosen by --storage-root, not in the name');
    if (rest === '') return fail('invalid', 'it names no image');
    return { transport, image: rest };
  }
  if (unspoken.includes(transport))
    return fail('unsupported', `${transport}: is not supported; skopeo copies such images to oci:`);
  return { transport: 'docker', reference: withDefaultTag(parseReference(text)) };
}

/** The text that `parseImageLocation` reads as `location`. */
export function formatImageLocation(location: ImageLocation): string {
  switch (location.transport) {
    case 'docker':
      return `docker://${formatReference(location.reference)}`;
    case 'containers-storage':
      return `containers-storage:${location.image}`;
    case 'dir':
      return `dir:${location.path}`;
    default: {
      const { name, index } = location;
      const choice = name !== undefined ? `:${name}` : index !== undefined ? `:@${index}` : '';
      return `${location.transport}:${location.path}${choice}`;
    }
  }
}
