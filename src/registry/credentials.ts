import type { RepositoryPath } from '../spec/mod.ts';

/** How somebody proves to a registry who they are: a password, or a token that stands for one (OAuth2's refresh token). */
export type Credentials =
  | { readonly username: string; readonly password: string }
  | { readonly username?: string; readonly identityToken: string };

/**
 * Finds what to say to a registry that wants a login. `registry` is a Reference's domain; `repository` is absent where it is about the registry as a whole. Undefined: nothing
 * is known, stay anonymous.
 */
export type CredentialsFor = (
  registry: string,
  repository?: RepositoryPath,
) => Promise<Credentials | undefined> | Credentials | undefined;

/** The value of an Authorization header (RFC 7617). */
export function basicAuthorization({
  username,
  password,
}: {
  readonly username: string;
  readonly password: string;
}): string {
  return `Basic ${Buffer.from(`${username}:${password}`, 'utf8').toString('base64')}`;
}
