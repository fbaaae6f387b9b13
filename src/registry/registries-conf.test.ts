import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { TareError, isKind } from '../base/errors.ts';
import { parseReference } from '../spec/mod.ts';
import { mutations } from '../../test/support/mutate.ts';
import { hostEndpoint, parseRegistriesConf, readEndpoints, writeEndpoint } from './registries-conf.ts';
import { readRegistriesConf, registryFiles } from './registry-files.ts';

const text = `
unqualified-search-registries = ["docker.io", 'quay.io']
short-name-mode = "permissive" # not ours

[[registry]]
location = "docker.io"
[[registry.mirror]]
location = "mirror.example:5000/hub"
insecure = true
[[registry.mirror]]
location = "second.example"
pull-from-mirror = "digest-only"
[[registry.mirror]]
location = "third.example"
pull-from-mirror = "tag-only"

[[registry]]
prefix = "docker.io/library"
location = "base.example/images/"

[[registry]]
location = "bad.example"
blocked = true

[[registry]]
prefix = "*.corp.example"
insecure = true

[[registry]]
prefix = "old.example/team"
location = "new.example:8443/a/b"
mirror-by-digest-only = true
[[registry.mirror]]
location = "cache.example"

[aliases]
"app" = "quay.io/team/app"
`;

describe('registries.conf', () => {
  const conf = parseRegistriesConf(text, 'registries.conf');
  const read = async (name: string): Promise<string[]> =>
    readEndpoints(await conf, parseReference(name)).map(
      ({ domain, path, insecure }) => `${domain}/${path}${insecure ? ' insecure' : ''}`,
    );
  const digest = `sha256:${'a'.repeat(64)}`;

  test('mirrors come first, those for tags or digests only where there is one', async () => {
    assert.deepEqual(await read('user/app:1'), [
      'mirror.example:5000/hub/user/app insecure',
      'third.example/user/app',
      'docker.io/user/app',
    ]);
    assert.deepEqual(await read(`user/app@${digest}`), [
      'mirror.example:5000/hub/user/app insecure',
      'second.example/user/app',
      'docker.io/user/app',
    ]);
    assert.deepEqual(await read('old.example/team/x:1'), ['new.example:8443/a/b/x']);
    assert.deepEqual(await read(`old.example/team/x@${digest}`), ['cache.example/x', 'new.example:8443/a/b/x']);
  });

  test('the longest prefix wins, and ends where a part of the name ends', async () => {
    assert.deepEqual(await read('busybox:1'), ['base.example/images/busybox']);
    assert.equal((await read('docker.io/libraryx/y')).at(-1), 'docker.io/libraryx/y');
    assert.deepEqual(await read('old.example/teammate/x'), ['old.example/teammate/x']);
    assert.deepEqual(await read('a.b.corp.example:5000/x'), ['a.b.corp.example:5000/x insecure']);
    assert.deepEqual(await read('corp.example/x'), ['corp.example/x']);
    assert.deepEqual(await read('xcorp.example/x'), ['xcorp.example/x']);
    assert.deepEqual(await read('quay.io/x/y'), ['quay.io/x/y']);
  });

  test('blocked is denied for reading, writing and login; writing goes where the name says, to no mirror or location', async () => {
    const blocked = (error: unknown): boolean => isKind(error, 'denied') && /blocks bad\.example/.test(error.message);
    await assert.rejects(read('bad.example/x'), blocked);
    const known = await conf;
    assert.throws(() => writeEndpoint(known, parseReference('bad.example/x')), blocked);
    assert.throws(() => hostEndpoint(known, 'bad.example'), blocked);
    assert.equal(writeEndpoint(known, parseReference('user/app')).domain, 'docker.io');
    const written = writeEndpoint(known, parseReference('old.example/team/x:1'));
    assert.deepEqual([written.domain, written.path], ['old.example', 'team/x']);
    assert.equal(writeEndpoint(known, parseReference('a.corp.example/x')).insecure, true);
    assert.deepEqual(hostEndpoint(known, 'a.corp.example'), {
      domain: 'a.corp.example',
      insecure: true,
      isNamed: true,
    });
    assert.deepEqual(known.unqualifiedSearchRegistries, ['docker.io', 'quay.io']);
  });

  test('version 1 is unsupported, and what cannot be meant is invalid with the file named', async () => {
    await assert.rejects(
      parseRegistriesConf('[registries.search]\nregistries = ["docker.io"]\n', '/etc/r.conf'),
      (error) => isKind(error, 'unsupported') && /\/etc\/r\.conf.*version 1/.test(error.message),
    );
    for (const bad of [
      'registry = [',
      '[[registry]]\ninsecure = true',
      '[[registry]]\nlocation = "https://a.example"',
      '[[registry]]\nlocation = "a b"',
      '[[registry]]\nlocation = "*.a.example"',
      '[[registry]]\nprefix = "a.example"',
      '[[registry]]\nlocation = 7',
      '[[registry]]\nlocation = "a.example"\ninsecure = "yes"',
      '[[registry]]\nlocation = "a.example"\n[[registry.mirror]]\ninsecure = true',
      '[[registry]]\nlocation = "a.example"\n[[registry.mirror]]\nlocation = "b.example"\npull-from-mirror = "never"',
      '[[registry]]\nlocation = "a.example"\nmirror-by-digest-only = true\n[[registry.mirror]]\nlocation = "b.example"\npull-from-mirror = "all"',
      'registry = "a"',
      'unqualified-search-registries = [1]',
    ])
      await assert.rejects(
        parseRegistriesConf(bad, '/etc/r.conf'),
        (error) => isKind(error, 'invalid') && error.message.includes('/etc/r.conf'),
        bad,
      );
  });

  test('damaged anywhere it is a configuration whose endpoints are sound, or a TareError', async () => {
    const reference = parseReference('docker.io/library/busybox:1');
    for (const damaged of mutations(text, 1500)) {
      try {
        for (const { domain, path } of readEndpoints(await parseRegistriesConf(damaged, 'x'), reference))
          assert.equal(parseReference(`${domain}/${path}`).path, path);
      } catch (error) {
        assert.ok(error instanceof TareError, String(error));
      }
    }
  });
});

test('readRegistriesConf(): one main file, drop-ins in order on top, later ones replace', async () => {
  const dir = mkdtempSync(join(tmpdir(), 'tare-conf-'));
  try {
    const user = join(dir, '.config/containers');
    mkdirSync(join(user, 'registries.conf.d'), { recursive: true });
    const registry = (location: string, insecure: boolean): string =>
      `[[registry]]\nlocation = "${location}"\ninsecure = ${insecure}\n`;
    writeFileSync(join(user, 'registries.conf'), registry('a.example', true) + registry('b.example', true));
    writeFileSync(join(user, 'registries.conf.d/20-x.conf'), registry('b.example', false));
    writeFileSync(join(user, 'registries.conf.d/10-x.conf'), registry('b.example', true));
    writeFileSync(join(user, 'registries.conf.d/ignored'), 'nonsense');
    const files = registryFiles({ HOME: dir }, 1000);
    const conf = await readRegistriesConf({
      registriesConf: [join(dir, 'none'), ...files.registriesConf],
      registriesConfDirs: [join(user, 'registries.conf.d'), join(dir, 'none')],
    });
    assert.deepEqual(
      conf.registries.map(({ prefix, insecure }) => [prefix, insecure]),
      [
        ['a.example', true],
        ['b.example', false],
      ],
    );
    const chosen = registryFiles({ HOME: dir, CONTAINERS_REGISTRIES_CONF: '/x.conf' }, 0);
    assert.deepEqual([chosen.registriesConf, chosen.registriesConfDirs], [['/x.conf'], []]);
  } finally {
    rmSync(dir, { recursive: true });
  }
});

test('registryFiles(): the places of containers-auth.json(5), a chosen file alone', () => {
  assert.deepEqual(registryFiles({ HOME: '/h', XDG_RUNTIME_DIR: '/r', XDG_CONFIG_HOME: '/c' }, 7).authFiles, [
    '/r/containers/auth.json',
    '/c/containers/auth.json',
    '/h/.docker/config.json',
    '/h/.dockercfg',
  ]);
  assert.equal(registryFiles({ HOME: '/root' }, 0).loginFile, '/run/containers/0/auth.json');
  const chosen = registryFiles({ HOME: '/h', REGISTRY_AUTH_FILE: '/x' }, 0);
  assert.deepEqual([chosen.authFiles, chosen.loginFile], [['/x'], '/x']);
  assert.equal(registryFiles({ HOME: '/h', REGISTRY_AUTH_FILE: '/x' }, 0, '/y').loginFile, '/y');
});
