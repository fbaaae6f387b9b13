import { RegistryClient, type RegistryClientOptions } from './client.ts';
import { readCertificates, readHostCertificates } from './certs-dir.ts';
import type { Credentials } from './credentials.ts';
import { findCredentials } from './find-credentials.ts';
import {
  hostEndpoint,
  readEndpoints,
  writeEndpoint,
  type Endpoint,
  type Named,
  type RegistriesConf,
} from './registries-conf.ts';
import { readRegistriesConf, type RegistryFiles } from './registry-files.ts';

export interface RegistriesOptions {
  readonly files: RegistryFiles;
  /** For credential helpers. */
  readonly env: Readonly<Record<string, string | undefined>>;
  /** The user's own folder of certificates, instead of those by host. */
  readonly certDir?: string;
  /** The user's word for every registry; where it is absent, registries.conf has the say. */
  readonly tlsVerify?: boolean;
  /** The user's own, instead of those in files, for the registry that is named; its mirrors are not told them. */
  readonly credentials?: Credentials;
  /** For every client. Its credentials, certificates and `tlsVerify` come from here. */
  readonly client?: Omit<RegistryClientOptions, 'credentials' | 'tlsVerify'>;
}

/** The registries as this machine and user are set up to use them. Files are read when they are first needed. */
export class Registries {
  readonly #options: RegistriesOptions;
  #conf: Promise<RegistriesConf> | undefined;

  constructor(options: RegistriesOptions) {
    this.#options = options;
  }

  /** The places to read `named` from, first choice first. Errors: `denied` when it is blocked; those of registries.conf. */
  async toRead(named: Named): Promise<Endpoint[]> {
    return readEndpoints(await this.#read(), named);
  }

  /** The place to write `named` to. Errors: as `toRead`. */
  async toWrite(named: Named): Promise<Endpoint> {
    return writeEndpoint(await this.#read(), named);
  }

  /** A registry as a whole. Errors: as `toRead`. */
  async toHost(domain: string): Promise<Omit<Endpoint, 'path'>> {
    return hostEndpoint(await this.#read(), domain);
  }

  /** A client for an endpoint; credentials are looked for when the registry asks. Errors: `invalid`, `denied` for its certificates. */
  open(
    endpoint: Omit<Endpoint, 'path'>,
    overrides: Pick<RegistryClientOptions, 'retry' | 'connectTimeoutMs'> = {},
  ): RegistryClient {
    const { client = {}, tlsVerify, files, certDir, credentials, env } = this.#options;
    const { domain } = endpoint;
    const certificates =
      certDir === undefined ? readHostCertificates(domain, files.certDirs) : readCertificates(certDir);
    return new RegistryClient(domain, {
      ...client,
      ...overrides,
      ca: [...(client.ca ?? []), ...certificates.ca],
      clientCertificates: [...(client.clientCertificates ?? []), ...certificates.clientCertificates],
      tlsVerify: tlsVerify ?? !endpoint.insecure,
      credentials: (registry, repository) =>
        (endpoint.isNamed ? credentials : undefined) ?? findCredentials(files.authFiles, registry, repository, { env }),
    });
  }

  #read(): Promise<RegistriesConf> {
    return (this.#conf ??= readRegistriesConf(this.#options.files));
  }
}
