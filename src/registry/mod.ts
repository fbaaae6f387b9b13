/**
 * The distribution protocol: one interface, spoken by a client (http), a server (any Registry behind an http handler) and a store in memory, so that a caller cannot
 * tell them apart and one contract suite (registry.suite.ts) holds for all.
 *
 * Importing this loads http, https and crypto: do it only where a registry is really used.
 * Reading order: registry.ts (the contract), error.ts, verified.ts, memory.ts, server.ts, client.ts and what it is made of: _exchange.ts (one request), _follow.ts (redirects),
 * _token.ts and _authorize.ts (who we are), _fetch.ts (repetition), _download.ts, _upload.ts. What a machine and its user have set up is put together by registries.ts.
 */
export type {
  BlobContent,
  BlobIdentity,
  BlobOptions,
  ContentInfo,
  ManifestContent,
  Registry,
  RegistryReader,
  RegistryWriter,
  RequestOptions,
} from './registry.ts';
export { RegistryError, isRegistryCode, registryCodes, registryError, type RegistryCode } from './error.ts';
export { collect, digestOf, verified, verifyBytes, type Expected } from './verified.ts';
export { MemoryRegistry, type MemoryRegistryOptions } from './memory.ts';
export { registryHandler, type RegistryHandlerOptions } from './server.ts';
export { MirroredReader } from './mirrored-reader.ts';
export { Registries, type RegistriesOptions } from './registries.ts';
export {
  hostEndpoint,
  mergeRegistriesConf,
  parseRegistriesConf,
  readEndpoints,
  writeEndpoint,
  type Endpoint,
  type MirrorRule,
  type Named,
  type RegistriesConf,
  type RegistryRule,
} from './registries-conf.ts';
export { readRegistriesConf, registryFiles, type RegistryFiles } from './registry-files.ts';
export { clearAuths, parseAuthFile, readAuthFile, writeAuth, type AuthFile } from './auth-file.ts';
export { helperErase, helperGet, helperStore, type HelperOptions } from './credential-helper.ts';
export { findCredentials, helperFor, keysOf, serverOf } from './find-credentials.ts';
export { readCertificates, readHostCertificates, type HostCertificates } from './certs-dir.ts';
export { basicAuthorization, type Credentials, type CredentialsFor } from './credentials.ts';
export { RegistryClient, type RegistryClientOptions } from './client.ts';
