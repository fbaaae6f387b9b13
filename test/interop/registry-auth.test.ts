/** The client against Debian's docker-registry where it wants to know who we are: passwords, tokens, certificates. */
import assert from 'node:assert/strict';
import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { isKind } from '../../src/base/errors.ts';
import {
  MirroredReader,
  Registries,
  RegistryClient,
  RegistryError,
  collect,
  digestOf,
  parseRegistriesConf,
  readHostCertificates,
  registryFiles,
  type Credentials,
  type CredentialsFor,
  type RegistryClientOptions,
} from '../../src/registry/mod.ts';
import { parseRepositoryPath, parseTag, type RepositoryPath } from '../../src/spec/mod.ts';
import { buildImage } from '../support/image.ts';
import { noRegistry, startRegistry, testUser, type RegistryOptions, type TestRegistry } from '../support/registry.ts';
import { tarOf } from '../support/tar.ts';

const image = buildImage({ layers: [tarOf([{ name: 'file', content: 'content' }])] });
const repository = parseRepositoryPath('team/app');
const tag = parseTag('one');
const skip = noRegistry();

/** Started once, on first use; ended with the file. */
function shared(options: RegistryOptions): () => Promise<TestRegistry> {
  let started: Promise<TestRegistry> | undefined;
  after(async () => (await started)?.[Symbol.asyncDispose]());
  return () => (started ??= startRegistry(options));
}

function connect(
  registry: TestRegistry,
  credentials?: Credentials | CredentialsFor,
  options: RegistryClientOptions = {},
): RegistryClient {
  return new RegistryClient(registry.domain, {
    ...(registry.ca !== undefined && { ca: [registry.ca] }),
    ...(credentials !== undefined && { credentials }),
    retry: { attempts: 2, delayMs: 5 },
    ...options,
  });
}

async function push(client: RegistryClient, target: RepositoryPath = repository): Promise<void> {
  for (const { bytes, descriptor } of [image.config, ...image.layers]) {
    const identity = { digest: descriptor.digest, sizeBytes: descriptor.size };
    await client.putBlob(target, identity, async function* (offset) {
      yield bytes.subarray(offset);
    });
  }
  const { bytes, descriptor } = image.manifest;
  assert.equal(await client.putManifest(target, tag, { bytes, mediaType: descriptor.mediaType }), descriptor.digest);
}

const denied = (words: RegExp) => (error: unknown) => isKind(error, 'denied') && words.test(error.message);

describe('docker-registry with htpasswd', { skip }, () => {
  for (const tls of [false, true]) {
    const start = shared({ login: 'htpasswd', tls });
    test(`a password is sent when it is asked for, and needed (${tls ? 'https' : 'http'})`, async () => {
      const registry = await start();
      using anonymous = connect(registry);
      await assert.rejects(anonymous.ping(), denied(/wants a login/));
      await assert.rejects(push(anonymous), denied(/wants a login/));
      using wrong = connect(registry, { username: 'ann', password: 'wrong' });
      await assert.rejects(wrong.ping(), denied(/does not accept the user name and password.*tare login/));
      let asked = 0;
      using right = connect(registry, () => (asked++, testUser));
      await right.ping();
      await push(right);
      assert.equal((await right.getManifest(repository, tag)).digest, image.manifest.descriptor.digest);
      assert.ok(asked <= 2, `${asked} look-ups: one for the registry, one for the repository`);
    });
  }
});

describe('docker-registry with a token server', { skip }, () => {
  const start = shared({ login: 'token' });

  test('a password gets tokens, one for each scope; the registry itself never sees it', async () => {
    const registry = await start();
    using client = connect(registry, testUser);
    await client.ping();
    const before = registry.tokens?.requests.length ?? 0;
    await push(client);
    await push(client);
    const fetched = registry.tokens?.requests.slice(before) ?? [];
    assert.deepEqual(fetched, [{ method: 'GET', user: 'ann', scopes: ['repository:team/app:pull,push'] }]);
    await client.getManifest(repository, tag);
    assert.deepEqual(registry.tokens?.requests.at(-1)?.scopes, ['repository:team/app:pull']);
  });

  test('an identity token is exchanged by POST', async () => {
    const registry = await start();
    using client = connect(registry, { identityToken: 'refresh-ann' });
    await push(client, parseRepositoryPath('team/other'));
    assert.deepEqual(registry.tokens?.requests.at(-1), {
      method: 'POST',
      user: 'ann',
      scopes: ['repository:team/other:pull,push'],
    });
    using wrong = connect(registry, { identityToken: 'refresh-nobody' });
    await assert.rejects(wrong.getManifest(repository, tag), denied(/does not accept/));
  });

  test('a wrong password is told apart from a missing one, and anonymous reads what is public', async () => {
    const registry = await start();
    const open = parseRepositoryPath('public/app');
    using client = connect(registry, testUser);
    await push(client, open);
    using anonymous = connect(registry);
    assert.equal((await anonymous.getManifest(open, tag)).digest, image.manifest.descriptor.digest);
    await assert.rejects(anonymous.getManifest(repository, tag), denied(/wants a login/));
    await assert.rejects(push(anonymous, open), denied(/wants a login/));
    using wrong = connect(registry, { username: 'ann', password: 'nope' });
    await assert.rejects(wrong.ping(), denied(/does not accept/));
  });

  test('mountBlob() asks for both repositories in one token, and is false where one may not read', async () => {
    const registry = await start();
    using client = connect(registry, testUser);
    await push(client);
    const target = parseRepositoryPath('team/mounted');
    const layer = image.layers[0]?.descriptor.digest;
    assert.ok(layer !== undefined);
    assert.equal(await client.mountBlob(target, layer, repository), true);
    assert.deepEqual(registry.tokens?.requests.at(-1)?.scopes, [
      'repository:team/mounted:pull,push',
      'repository:team/app:pull',
    ]);
    using anonymous = connect(registry);
    assert.equal(await anonymous.mountBlob(target, layer, repository), false);
  });

  test('a token that stops working in the middle of a push is renewed, and nothing is lost', async () => {
    const registry = await start();
    const layer = image.layers[0];
    assert.ok(layer !== undefined);
    using client = connect(registry, testUser);
    const target = parseRepositoryPath('team/renewed');
    const tokens = registry.tokens;
    assert.ok(tokens !== undefined);
    // Signed, but run out: docker-registry lets a minute pass, so it is further back.
    tokens.lifetimeSeconds = -120;
    await assert.rejects(push(client, target), denied(/wants a login/));
    tokens.lifetimeSeconds = 300;
    const before = tokens.requests.length;
    await push(client, target);
    assert.ok(tokens.requests.length > before);
  });
});

describe('docker-registry with TLS', { skip }, () => {
  const start = shared({ tls: true, login: 'token' });
  const startMutual = shared({ clientCertificate: true });

  test('its authority, from a certs.d folder, makes it and its token server trusted', async () => {
    const registry = await start();
    const dir = mkdtempSync(join(tmpdir(), 'tare-certs-'));
    try {
      mkdirSync(join(dir, registry.domain));
      cpSync(registry.certificates?.ca ?? '', join(dir, registry.domain, 'ca.crt'));
      const { ca } = readHostCertificates(registry.domain, [join(dir, 'none'), dir]);
      using client = new RegistryClient(registry.domain, { ca, credentials: testUser });
      await push(client);
      using stranger = new RegistryClient(registry.domain, { credentials: testUser });
      await assert.rejects(stranger.ping(), denied(/certificate is not trusted/));
    } finally {
      rmSync(dir, { recursive: true });
    }
  });

  test('tlsVerify: false trusts this host with any certificate, but not the token server elsewhere', async () => {
    const registry = await start();
    using client = new RegistryClient(registry.domain, { tlsVerify: false, credentials: testUser });
    // The registry is localhost, the token server 127.0.0.1.
    await assert.rejects(client.ping(), denied(/127\.0\.0\.1:\d+: its certificate is not trusted/));
  });

  test('a registry that wants a client certificate gets it, and refuses who has none', async () => {
    const registry = await startMutual();
    const dir = mkdtempSync(join(tmpdir(), 'tare-certs-'));
    try {
      const host = join(dir, registry.domain);
      mkdirSync(host);
      const { ca, certificate, key } = registry.certificates ?? assert.fail();
      cpSync(ca, join(host, 'ca.crt'));
      cpSync(certificate, join(host, 'client.cert'));
      cpSync(key, join(host, 'client.key'));
      const files = { ...registryFiles({ HOME: dir }, 0), certDirs: [dir] };
      using client = new Registries({ files, env: {} }).open({
        domain: registry.domain,
        insecure: false,
        isNamed: true,
      });
      await push(client);
      using without = connect(registry);
      await assert.rejects(without.ping(), (error) => isKind(error, 'unavailable') || isKind(error, 'denied'));
      rmSync(join(host, 'client.key'));
      assert.throws(
        () => readHostCertificates(registry.domain, [dir]),
        (error) => isKind(error, 'invalid') && error.message.includes('there is no client.key beside it'),
      );
    } finally {
      rmSync(dir, { recursive: true });
    }
  });
});

describe('registries.conf', { skip }, () => {
  const start = shared({});
  // Not loopback by name, so that only configuration allows plain http.
  const elsewhere = (registry: TestRegistry): string => registry.domain.replace('localhost', '0.0.0.0');

  const registriesOf = (dir: string): Registries => {
    const path = join(dir, 'registries.conf');
    return new Registries({
      files: { ...registryFiles({ HOME: dir }, 0), registriesConf: [path], registriesConfDirs: [], certDirs: [] },
      env: {},
      client: { retry: { attempts: 2, delayMs: 5 }, connectTimeoutMs: 2000 },
    });
  };
  const withConf = async (conf: string, body: (registries: Registries) => Promise<void>): Promise<void> => {
    const dir = mkdtempSync(join(tmpdir(), 'tare-conf-'));
    try {
      writeFileSync(join(dir, 'registries.conf'), conf);
      await body(registriesOf(dir));
    } finally {
      rmSync(dir, { recursive: true });
    }
  };

  test('plain http is spoken elsewhere only with insecure', async () => {
    const registry = await start();
    using local = connect(registry);
    await push(local);
    const named = { domain: elsewhere(registry), path: repository, tag };
    await withConf('', async (registries) => {
      using reader = new MirroredReader(registries, named);
      await assert.rejects(reader.getManifest(repository, tag), (error) => isKind(error, 'unavailable'));
    });
    await withConf(`[[registry]]\nlocation = "${named.domain}"\ninsecure = true\n`, async (registries) => {
      using reader = new MirroredReader(registries, named);
      assert.equal((await reader.getManifest(repository, tag)).digest, image.manifest.descriptor.digest);
      using writer = registries.open(await registries.toWrite(named));
      await push(writer, parseRepositoryPath('team/insecure'));
    });
  });

  test('a mirror is read first, the registry behind it when the mirror has not all of it', async () => {
    const registry = await start();
    using local = connect(registry);
    await push(local);
    const layer = image.layers[0]?.descriptor ?? assert.fail();
    const conf = `
[[registry]]
prefix = "registry.example/x"
location = "${registry.domain}/team"
[[registry.mirror]]
location = "localhost:1/nobody"
[[registry.mirror]]
location = "${registry.domain}/mirror"
`;
    await withConf(conf, async (registries) => {
      const path = parseRepositoryPath('x/app');
      const named = { domain: 'registry.example', path, tag };
      using reader = new MirroredReader(registries, named);
      assert.equal((await reader.getManifest(path, tag)).digest, image.manifest.descriptor.digest);
      const { body } = await reader.getBlob(path, layer.digest);
      assert.equal(digestOf(await collect(body, layer.size, 'layer')), layer.digest);
      await assert.rejects(
        reader.getManifest(path, parseTag('none')),
        (error) => error instanceof RegistryError && error.code === 'MANIFEST_UNKNOWN',
      );
      using other = new MirroredReader(registries, { ...named, tag: parseTag('none') });
      await assert.rejects(
        other.getManifest(path, parseTag('none')),
        (error) => error instanceof RegistryError && /its mirrors: .*localhost:1: nothing listens/.test(error.message),
      );
    });
    const blocked = await parseRegistriesConf('[[registry]]\nlocation = "a.example"\nblocked = true\n', 'x');
    assert.equal(blocked.registries[0]?.blocked, true);
  });
});
