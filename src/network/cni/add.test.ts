import assert from 'node:assert/strict';
import { existsSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { addCni } from './add.ts';
import { attachmentsOf, containersWithAttachments, resultOf } from './attachments.ts';
import { checkCni } from './check.ts';
import { pluginVersions } from './choose-version.ts';
import { cniStatus, collectCni } from './collect.ts';
import { deleteAllCni, deleteCni } from './delete.ts';
import { canCni, CniMachine } from './_ground.suite.ts';

const id = (digit: string): string => digit.repeat(64);

test("a chain of Debian's plugins: addresses, a port, rules, limits; DEL leaves nothing", canCni, async () => {
  using machine = new CniMachine();
  const { ground, cni } = machine;
  const network = machine.network('web', [
    {
      type: 'bridge',
      bridge: 'cni0',
      isGateway: true,
      ipMasq: true,
      hairpinMode: true,
      ipam: machine.hostLocal('10.50.0.0/24'),
      capabilities: { ips: true },
    },
    { type: 'portmap', capabilities: { portMappings: true } },
    { type: 'firewall', backend: 'iptables' },
    { type: 'tuning', sysctl: { 'net.core.somaxconn': '77' }, capabilities: { mac: true } },
    { type: 'bandwidth', capabilities: { bandwidth: true } },
  ]);
  assert.ok((await pluginVersions(cni, 'bridge')).includes('1.0.0'));
  const [a, b] = [ground.namespace(), ground.namespace()];
  const portMappings = [{ hostPort: 8080, containerPort: 80, protocol: 'tcp' }];
  const result = await addCni(cni, network, {
    containerId: id('a'),
    ifname: 'eth0',
    netns: machine.path(a),
    capabilityArgs: {
      portMappings,
      ips: ['10.50.0.77/24'],
      mac: '02:00:00:00:00:07',
      bandwidth: { ingressRate: 8_000_000, ingressBurst: 8_000_000 },
    },
  });
  assert.deepEqual(result.ips, [{ address: '10.50.0.77/24', gateway: '10.50.0.1', interface: 2 }]);
  assert.equal(result.interfaces[2]?.mac, '02:00:00:00:00:07');
  assert.deepEqual(resultOf(attachmentsOf(cni.stateDir, id('a'))[0] ?? assert.fail()), result);
  await addCni(cni, network, { containerId: id('b'), ifname: 'eth0', netns: machine.path(b) });
  for (const netns of [a, ground.outside]) await ground.serve(netns);
  // host-local goes on behind the last one.
  assert.equal(ground.ask(b, '10.50.0.77'), '10.50.0.78');
  assert.equal(ground.ask(a, '192.0.2.1'), '192.0.2.2');
  assert.equal(ground.ask(ground.outside, '192.0.2.2', 8080), '192.0.2.1');
  assert.equal(ground.run(a, 'cat', '/proc/sys/net/core/somaxconn').trim(), '77');
  assert.match(ground.run(a, 'ip', 'link', 'show', 'eth0'), /02:00:00:00:00:07/);
  await assert.rejects(addCni(cni, network, { containerId: id('a'), ifname: 'eth0', netns: machine.path(a) }), {
    kind: 'already-exists',
  });
  assert.deepEqual(machine.given('web').sort(), ['10.50.0.77', '10.50.0.78']);
  for (const container of [id('a'), id('b')]) {
    await deleteAllCni(cni, container);
    await deleteAllCni(cni, container);
    await deleteCni(cni, container, 'eth0');
  }
  assert.deepEqual(machine.given('web'), []);
  assert.deepEqual(machine.links(), ['cni0']);
  assert.deepEqual(
    machine.rules().filter((rule) => /10\.50|8080/.test(rule)),
    [],
  );
  assert.deepEqual(containersWithAttachments(cni.stateDir), []);
});

test('checkCni: what an ADD made is there, and what somebody took away is missed', canCni, async () => {
  using machine = new CniMachine();
  const { ground, cni } = machine;
  const plugins = [
    { type: 'bridge', bridge: 'cni0', isGateway: true, ipam: machine.hostLocal('10.50.0.0/24') },
    { type: 'firewall', backend: 'iptables' },
    { type: 'tuning', sysctl: { 'net.core.somaxconn': '77' } },
  ];
  const netns = ground.namespace();
  const wish = { containerId: id('a'), netns: machine.path(netns) };
  await addCni(cni, machine.network('web', plugins), { ...wish, ifname: 'eth0' });
  await checkCni(cni, id('a'), 'eth0');
  await addCni(cni, machine.network('quiet', plugins, { disableCheck: true }), { ...wish, ifname: 'eth1' });
  ground.run(netns, 'ip', 'addr', 'flush', 'dev', 'eth0');
  ground.run(netns, 'ip', 'addr', 'flush', 'dev', 'eth1');
  await assert.rejects(checkCni(cni, id('a'), 'eth0'), { message: /^Cannot check CNI network web: plugin bridge: / });
  await checkCni(cni, id('a'), 'eth1');
  await deleteAllCni(cni, id('a'));
  await assert.rejects(checkCni(cni, id('a'), 'eth0'), { kind: 'failed-precondition' });
});

test("Debian's macvlan, ptp and loopback; several links of one container", canCni, async () => {
  using machine = new CniMachine();
  const { ground, cni } = machine;
  const netns = ground.namespace();
  const wish = { containerId: id('a'), netns: machine.path(netns) };
  const macvlan = machine.network('lan', [
    { type: 'macvlan', master: 'eth0', ipam: machine.hostLocal('192.0.2.0/24', { routes: [] }) },
  ]);
  const ptp = machine.network('point', [{ type: 'ptp', ipMasq: true, ipam: machine.hostLocal('10.51.0.0/24') }], {
    cniVersion: '0.3.1',
  });
  await addCni(cni, machine.network('lo', [{ type: 'loopback' }]), { ...wish, ifname: 'lo' });
  const [lan] = (
    await addCni(cni, macvlan, {
      ...wish,
      ifname: 'eth0',
      args: [
        ['IgnoreUnknown', '1'],
        ['IP', '192.0.2.77'],
      ],
    })
  ).ips;
  const [point] = (await addCni(cni, ptp, { ...wish, ifname: 'eth1' })).ips;
  assert.deepEqual([lan?.address, point?.address], ['192.0.2.77/24', '10.51.0.2/24']);
  await ground.serve(ground.outside);
  await ground.serve(netns);
  assert.equal(ground.ask(netns, '192.0.2.1'), '192.0.2.77');
  assert.equal(ground.ask(ground.machine, '10.51.0.2'), '10.51.0.1');
  assert.equal(ground.ask(netns, '127.0.0.1'), '127.0.0.1');
  await assert.rejects(
    (async () => {
      await addCni(
        cni,
        machine.network('old', [{ type: 'ptp', ipam: machine.hostLocal('10.52.0.0/24') }], { cniVersion: '0.3.1' }),
        { ...wish, ifname: 'eth2' },
      );
      await checkCni(cni, id('a'), 'eth2');
    })(),
    { kind: 'unsupported', message: /its cniVersion 0\.3\.1 has no CHECK/ },
  );
  // The namespace is gone: what is outside of it goes all the same.
  for (const one of attachmentsOf(cni.stateDir, id('a'))) assert.equal(one.netns, machine.path(netns));
  await deleteAllCni({ ...cni, pluginDirs: ['/nowhere'] }, id('a'));
  assert.deepEqual([machine.given('lan'), machine.given('point'), machine.given('old')], [[], [], []]);
  assert.deepEqual(machine.links(), []);
});

test('addCni: a plugin that fails undoes the chain, in reverse order, and nothing is left', canCni, async () => {
  using machine = new CniMachine();
  const { ground, cni } = machine;
  machine.plugin('first', `echo '{"ips":[{"address":"10.0.0.2/24"}],"own":{"kept":true}}'`);
  machine.plugin('second', `test $CNI_COMMAND = DEL || { echo '{"code":11,"msg":"not now"}'; exit 1; }`);
  machine.plugin('third', 'exit 0');
  const netns = ground.namespace();
  const wish = { containerId: id('a'), ifname: 'eth0', netns: machine.path(netns) };
  const failing = machine.network('web', [{ type: 'first' }, { type: 'second' }, { type: 'third' }]);
  await assert.rejects(addCni(cni, failing, wish), {
    code: 11,
    kind: 'unavailable',
    message: /^Cannot join CNI network web: plugin second: not now \(code 11: try again later\)$/,
  });
  assert.deepEqual(machine.calls, ['first ADD', 'second ADD', 'third DEL', 'second DEL', 'first DEL']);
  assert.deepEqual(machine.inputs[1]?.['prevResult'], {
    ips: [{ address: '10.0.0.2/24' }],
    own: { kept: true },
    cniVersion: '1.0.0',
  });
  assert.deepEqual(containersWithAttachments(cni.stateDir), []);
  // A result that is none is a failure as well.
  machine.plugin('second', `echo '{"ips":[{"address":"nowhere"}]}'`);
  await assert.rejects(addCni(cni, failing, wish), {
    kind: 'invalid',
    message: /plugin second: its result is wrong: ips\[0\]\.address: expected ADDRESS\/PREFIX$/,
  });
  assert.deepEqual(containersWithAttachments(cni.stateDir), []);
  await assert.rejects(addCni(cni, failing, { ...wish, netns: '/proc/self/fd/none' }), {
    kind: 'not-found',
    message: /is no network namespace/,
  });
  await assert.rejects(addCni(cni, failing, { ...wish, ifname: '../x' }), { kind: 'invalid' });
  await assert.rejects(addCni(cni, failing, { ...wish, containerId: '../../x' }), { kind: 'invalid' });
  await assert.rejects(addCni(cni, failing, { ...wish, args: [['A', 'b;C=d']] }), { kind: 'invalid' });
});

test('addCni: containers do not wait for each other, a container for itself', canCni, async () => {
  using machine = new CniMachine();
  const { ground, cni } = machine;
  const digits = ['a', 'b', 'c', 'd', 'e', 'f'];
  // Each waits until all are there.
  machine.plugin(
    'meet',
    `while [ $(wc -l < ${machine.dir}/calls) -lt ${digits.length} ]; do sleep 0.02; done; echo '{}'`,
  );
  const netns = machine.path(ground.namespace());
  await Promise.all(
    digits.map((digit) =>
      addCni(cni, machine.network('all', [{ type: 'meet' }]), { containerId: id(digit), ifname: 'eth0', netns }),
    ),
  );
  machine.plugin('slow', `sleep 0.3; echo '{}'`);
  const network = machine.network('web', [{ type: 'slow' }]);
  const wish = { containerId: id('1'), ifname: 'eth0', netns };
  const [first, second] = await Promise.allSettled([addCni(cni, network, wish), addCni(cni, network, wish)]);
  assert.deepEqual([first.status, second.status].sort(), ['fulfilled', 'rejected']);
  await Promise.all([deleteAllCni(cni, id('1')), deleteAllCni(cni, id('1'))]);
  assert.deepEqual(machine.calls.slice(digits.length), ['slow ADD', 'slow DEL']);
});

test(
  'deleteCni: where a plugin fails, the DEL stays due; with the result of the ADD; code 3 is as good as done',
  canCni,
  async () => {
    using machine = new CniMachine();
    const { ground, cni } = machine;
    machine.plugin('one', `echo '{"ips":[{"address":"10.0.0.2/24"}]}'`);
    machine.plugin(
      'two',
      `test $CNI_COMMAND = ADD || { echo '{"code":7,"msg":"broken"}'; exit 1; }; echo '{"ips":[]}'`,
    );
    const network = machine.network('web', [{ type: 'one' }, { type: 'two', capabilities: { ips: true } }]);
    const wish = {
      containerId: id('a'),
      ifname: 'eth0',
      netns: machine.path(ground.namespace()),
      capabilityArgs: { ips: ['10.0.0.2'] },
    };
    await addCni(cni, network, wish);
    await assert.rejects(deleteAllCni(cni, id('a')), {
      message: /^Cannot leave CNI network web: plugin two: broken \(code 7: /,
    });
    await assert.rejects(addCni(cni, network, wish), { kind: 'already-exists' });
    assert.equal(attachmentsOf(cni.stateDir, id('a')).length, 1);
    rmSync(join(machine.ownPlugins, 'two'));
    await assert.rejects(deleteAllCni(cni, id('a')), { kind: 'not-found', message: /^Cannot find CNI plugin two: / });
    machine.plugin('two', `echo '{"code":3,"msg":"who?"}'; exit 1`);
    await deleteAllCni(cni, id('a'));
    assert.deepEqual(machine.inputs.at(-2), {
      type: 'two',
      name: 'web',
      cniVersion: '1.0.0',
      runtimeConfig: { ips: ['10.0.0.2'] },
      prevResult: { ips: [], cniVersion: '1.0.0' },
    });
    assert.equal(existsSync(join(cni.stateDir, id('a'))), false);
    // Killed before there was a record.
    mkdirSync(join(cni.stateDir, id('b')));
    for (const name of ['lock', 'new']) writeFileSync(join(cni.stateDir, id('b'), name), '');
    await deleteAllCni(cni, id('b'));
    assert.equal(existsSync(join(cni.stateDir, id('b'))), false);
  },
);

test('collectCni and cniStatus: version gates, GC with what is valid, DEL of what is dead', canCni, async () => {
  using machine = new CniMachine();
  const { ground, cni } = machine;
  machine.plugin(
    'new',
    `test $CNI_COMMAND != VERSION || { echo '{"supportedVersions":["1.0.0","1.1.0"]}'; exit; }
    test $CNI_COMMAND != STATUS -o ! -e ${machine.dir}/down || { echo '{"code":50,"msg":"no address left"}'; exit 1; }
    echo '{}'`,
  );
  const versions = { cniVersions: ['1.0.0', '1.1.0'] };
  const network = machine.network('web', [{ type: 'new' }, { type: 'new' }], versions);
  const netns = machine.path(ground.namespace());
  for (const digit of ['a', 'b']) await addCni(cni, network, { containerId: id(digit), ifname: 'eth0', netns });
  await cniStatus(cni, network);
  ground.run(ground.machine, 'touch', join(machine.dir, 'down'));
  await assert.rejects(cniStatus(cni, network), {
    code: 50,
    message: /^Cannot use CNI network web: plugin new: no address left/,
  });
  const before = machine.calls.length;
  const others = [{ containerId: 'stranger', ifname: 'net1' }];
  await collectCni(cni, network, ({ containerId }) => containerId === id('b'), { others });
  assert.deepEqual(machine.calls.slice(before), ['new DEL', 'new DEL', 'new VERSION', 'new GC', 'new GC']);
  const valid = [
    { containerID: id('b'), ifname: 'eth0' },
    { containerID: 'stranger', ifname: 'net1' },
  ];
  const { 'cni.dev/valid-attachments': named, 'cni.dev/attachments': again } = machine.inputs.at(-1) ?? {};
  assert.deepEqual([named, again], [valid, valid]);
  assert.deepEqual(containersWithAttachments(cni.stateDir), [id('b')]);
  // Where plugins or the network are of before, nobody is asked; where it is forbidden neither.
  for (const more of [{ cniVersion: '1.0.0' }, { ...versions, disableGC: true }]) {
    const at = machine.calls.length;
    await collectCni(cni, machine.network('web', [{ type: 'new' }], more), () => true);
    assert.deepEqual(machine.calls.slice(at), []);
  }
  await cniStatus(cni, machine.network('web', [{ type: 'new' }]));
  // Of several versions the newest that all plugins speak.
  machine.plugin(
    'old',
    `test $CNI_COMMAND != VERSION || { echo '{"supportedVersions":["0.4.0","1.0.0"]}'; exit; }; echo '{}'`,
  );
  await addCni(cni, machine.network('mixed', [{ type: 'new' }, { type: 'old' }], versions), {
    containerId: id('c'),
    ifname: 'eth0',
    netns,
  });
  assert.equal(attachmentsOf(cni.stateDir, id('c'))[0]?.cniVersion, '1.0.0');
  await assert.rejects(
    addCni(cni, machine.network('none', [{ type: 'old' }], { cniVersions: ['0.3.0', '1.1.0'], cniVersion: '1.1.0' }), {
      containerId: id('d'),
      ifname: 'eth0',
      netns,
    }),
    { kind: 'unsupported', message: /of its versions 1\.1\.0, 0\.3\.0 plugin old speaks none/ },
  );
});
