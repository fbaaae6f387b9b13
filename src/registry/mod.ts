/**
 * The distribution protocol: one interface, spoken by a client (http), a server (any Registry behind an http handler) and a store in memory, so that a caller cannot
 * tell them apart and one contract suite (registry.suite.ts) holds for all.
 *
 * Importing this loads http, https and crypto: do it only where a registry is really used.
 * Reading order: registry.ts (the contract), error.ts, verified.ts, memory.ts, server.ts, client.ts and what it is made of: _exchange.ts (one request), _token.ts, _fetch.ts.
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
export { registryHandler } from './server.ts';
export { RegistryClient, type RegistryClientOptions } from './client.ts';
