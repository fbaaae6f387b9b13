/** Image references as Docker reads and writes them (distribution/reference; distribution-spec "Pulling manifests"). */
import type { TareError } from '../base/errors.ts';
import { invalid, shown } from './_document.ts';
import { isDigest, type Digest } from './digest.ts';

declare const repositoryBrand: unique symbol;
declare const tagBrand: unique symbol;

/** A repository's path within its registry, such as `library/busybox`. Safe in a URL path. */
export type RepositoryPath = string & { readonly [repositoryBrand]: true };

/** A tag: at most 128 of `[A-Za-z0-9_.-]`, not starting with `.` or `-`. Safe in a URL path. */
export type Tag = string & { readonly [tagBrand]: true };

/** An image by name, always with its registry. With both tag and digest, the digest says which bytes; the tag is only a note. */
export interface Reference {
  /** Host and optional port, lower or upper case as written. */
  readonly domain: string;
  readonly path: RepositoryPath;
  readonly tag?: Tag;
  readonly digest?: Digest;
}

const DEFAULT_DOMAIN = 'docker.io';
const DEFAULT_NAMESPACE = 'library/';
/** The most characters of a repository path. */
const MAX_PATH = 255;
/** The most characters of a domain with its port: a DNS name and six more. */
const MAX_DOMAIN = 253 + 6;

const label = '[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?';
const domainPattern = new RegExp(`^(?:${label}(?:\\.${label})*|\\[[0-9A-Fa-f:]+\\])(?::([0-9]{1,5}))?$`);
const pathPattern = /^[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*(?:\/[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*)*$/;
const tagPattern = /^\w[\w.-]{0,127}$/;

/** Errors: `invalid`. */
export function parseRepositoryPath(text: string): RepositoryPath {
  if (text.length > MAX_PATH) throw invalid(`repository ${shown(text)}`, `it is longer than ${MAX_PATH} characters`);
  if (!pathPattern.test(text)) {
    const state = pathPattern.test(text.toLowerCase())
      ? 'it must be lower case'
      : 'it has characters or separators that a repository cannot have';
    throw invalid(`repository ${shown(text)}`, state);
  }
  return text as RepositoryPath;
}

/** Errors: `invalid`. */
export function parseTag(text: string): Tag {
  if (!tagPattern.test(text))
    throw invalid(
      `tag ${shown(text)}`,
      'it is not 1 to 128 letters, digits, "_", "." and "-", or starts with "." or "-"',
    );
  return text as Tag;
}

/**
 * `[domain/]path[:tag][@digest]`. A first part without dot, port, capital letter and that is not `localhost` belongs to the path on docker.io; a single-part path there
 * lives under `library/`. No tag is added: see `withDefaultTag`.
 *
 * Errors: `invalid`.
 */
export function parseReference(text: string): Reference {
  const bad = (state: string): TareError => invalid(`image reference ${shown(text)}`, state);
  if (text === '') throw bad('it is empty');
  if (text.length > 1024) throw bad('it is too long');
  if (/^[0-9a-f]{64}$/.test(text)) throw bad('it is an image id, not a name');
  const at = text.indexOf('@');
  let name = at < 0 ? text : text.slice(0, at);
  const digest = at < 0 ? undefined : text.slice(at + 1);
  if (digest !== undefined && !isDigest(digest)) throw bad('what follows "@" is not a sha256, sha384 or sha512 digest');
  const colon = name.lastIndexOf(':');
  let tag: Tag | undefined;
  if (colon > name.lastIndexOf('/')) {
    tag = parseTag(name.slice(colon + 1));
    name = name.slice(0, colon);
  }
  const [domain, path] = splitDomain(name);
  if (domain !== DEFAULT_DOMAIN) {
    const port = domainPattern.exec(domain);
    if (port === null || domain.length > MAX_DOMAIN) throw bad(`${shown(domain)} is not a host name`);
    if (port[1] !== undefined && Number(port[1]) > 65535) throw bad(`port ${port[1]} is above 65535`);
  }
  return {
    domain,
    path: parseRepositoryPath(path),
    ...(tag !== undefined && { tag }),
    ...(digest !== undefined && { digest }),
  };
}

function splitDomain(name: string): [domain: string, path: string] {
  const slash = name.indexOf('/');
  const first = slash < 0 ? '' : name.slice(0, slash);
  const isDomain = /[.:A-Z]/.test(first) || first === 'localhost';
  const domain = !isDomain || first === 'index.docker.io' ? DEFAULT_DOMAIN : first;
  const path = isDomain ? name.slice(slash + 1) : name;
  return [domain, domain === DEFAULT_DOMAIN && !path.includes('/') ? DEFAULT_NAMESPACE + path : path];
}

/** The same reference, with `latest` where it has neither tag nor digest. */
export function withDefaultTag(reference: Reference): Reference {
  return reference.tag !== undefined || reference.digest !== undefined
    ? reference
    : { ...reference, tag: 'latest' as Tag };
}

/** `domain/path`, without tag and digest. */
export function repositoryName(reference: Reference): string {
  return `${reference.domain}/${reference.path}`;
}

/** The full form, as stored: `docker.io/library/busybox:latest`. `parseReference` reads it back to an equal reference. */
export function formatReference(reference: Reference): string {
  return repositoryName(reference) + suffix(reference);
}

/** The short form people write: `busybox:latest`, `user/tool`, `quay.io/x/y`. `parseReference` reads it back to an equal reference. */
export function familiarReference(reference: Reference): string {
  return familiarName(reference) + suffix(reference);
}

/** The short form without tag and digest. */
export function familiarName(reference: Reference): string {
  if (reference.domain !== DEFAULT_DOMAIN) return repositoryName(reference);
  const rest = reference.path.startsWith(DEFAULT_NAMESPACE) ? reference.path.slice(DEFAULT_NAMESPACE.length) : '';
  if (rest !== '' && !rest.includes('/') && !/^[0-9a-f]{64}$/.test(rest)) return rest;
  // docker.io/foo.bar/baz: without its domain, foo.bar would be one.
  const [domain, path] = splitDomain(reference.path);
  return domain === DEFAULT_DOMAIN && path === reference.path ? reference.path : repositoryName(reference);
}

function suffix(reference: Reference): string {
  return (
    (reference.tag === undefined ? '' : `:${reference.tag}`) +
    (reference.digest === undefined ? '' : `@${reference.digest}`)
  );
}
