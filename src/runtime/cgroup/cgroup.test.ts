/** The whole folder on this machine's own hierarchies, in cgroups of its own. */
import assert from 'node:assert/strict';
import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import {
  accessSync,
  constants,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmdirSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { isKind } from '../../base/errors.ts';
import type { LinuxResources } from '../../spec/runtime-types.ts';
import { needs } from '../../../test/support/needs.ts';
import { v2Systemd } from './_host-texts.ts';
import {
  cgroupProcesses,
  cgroupStats,
  createCgroup,
  detectCgroups,
  freezeCgroup,
  isCgroupFrozen,
  killCgroup,
  planCgroup,
  readCgroupHost,
  removeCgroup,
  thawCgroup,
} from './mod.ts';
import type { CgroupPlan } from './plan.ts';

const host = readCgroupHost();
const parent = `/tare-test-${process.pid}`;
let next = 0;
const skip = needs.root() || noWritableCgroups();
const onV1 =
  skip ||
  (!host.hierarchies.some((h) => h.controllers.includes('memory') && h.version === 1) &&
    'cannot here: controllers are on cgroup v2');
const withUnified = skip || (!host.hierarchies.some((h) => h.version === 2) && 'cannot here: no cgroup v2 tree');

function noWritableCgroups(): string | false {
  if (host.mode === 'none') return 'cannot here: no cgroups are mounted';
  try {
    for (const h of host.hierarchies) accessSync(`${host.root}/${h.dir}`, constants.W_OK);
    return host.hierarchies.some((h) => h.readOnly) && 'cannot here: cgroups are read-only';
  } catch {
    return 'cannot here: cgroups are not writable';
  }
}

after(() => {
  for (const h of host.hierarchies) {
    const dir = `${host.root}/${h.dir}${parent}`;
    // What is planned as for a machine with cgroup v2 alone has a place for monitors.
    for (const made of [`${dir}/tare-monitors`, dir]) if (existsSync(made)) rmdirSync(made);
  }
});

/** A plan for a new cgroup; everything allowed unless rules are given. */
function planFor(resources: LinuxResources): CgroupPlan {
  return planCgroup(host, {
    cgroupPath: `${parent}/c${++next}`,
    resources: { devices: [{ allow: true }], ...resources },
  });
}

/** Creates it for the time of `use`, then kills and removes whatever is in it. */
async function within(plan: CgroupPlan, use: (made: CgroupPlan) => Promise<void> | void): Promise<void> {
  const made = createCgroup(plan);
  try {
    await use(made);
  } finally {
    await killCgroup(made);
    removeCgroup(made);
  }
}

const at = (plan: CgroupPlan, file: string): string => `${plan.root}/${file}`;

/** A shell that enters as init does and then runs `script`. */
function enter(plan: CgroupPlan): string {
  const files = [...plan.tasks, ...(plan.unified === undefined ? [] : [`${plan.unified}/cgroup.procs`])];
  return files.map((file) => `echo 0 > ${at(plan, file)} || exit 99`).join('\n');
}

const runIn = (plan: CgroupPlan, script: string): { status: number | null; signal: string | null; stderr: string } =>
  spawnSync('sh', ['-c', `${enter(plan)}\n${script}`], { encoding: 'utf8', timeout: 20_000 });

async function startIn(plan: CgroupPlan, script: string): Promise<ChildProcess> {
  const child = spawn('sh', ['-c', `${enter(plan)}\necho ready\n${script}`], { stdio: ['ignore', 'pipe', 'inherit'] });
  await once(child.stdout, 'data');
  return child;
}

test('createCgroup makes every directory, removeCgroup takes them away and leaves the parent', { skip }, async () => {
  const plan = planFor({});
  await within(plan, (made) => {
    assert.equal(made, plan);
    for (const dir of plan.dirs) assert.ok(statSync(at(plan, dir)).isDirectory());
  });
  for (const dir of plan.dirs) assert.ok(!existsSync(at(plan, dir)), dir);
  for (const dir of plan.parents) assert.ok(existsSync(at(plan, dir)), dir);
  removeCgroup(plan);
  await killCgroup(plan);
});

test('a process enters all hierarchies by writing 0, also the cpuset', { skip }, async () => {
  await within(planFor({}), (made) => {
    const result = runIn(made, 'cat /proc/self/cgroup');
    assert.equal(result.status, 0, result.stderr);
    const own = spawnSync('sh', ['-c', `${enter(made)}\ncat /proc/self/cgroup`], { encoding: 'utf8' }).stdout;
    const inside = own
      .split('\n')
      .filter((line) => line.endsWith(made.dirs[0]?.slice(made.dirs[0].indexOf('/')) ?? '?'));
    assert.equal(inside.length, made.dirs.length, own);
  });
});

test('a memory limit kills the process that passes it, and the OOM counter says so', { skip: onV1 }, async () => {
  await within(planFor({ memory: { limit: 16 << 20 } }), (made) => {
    const result = runIn(made, 'exec dd if=/dev/zero of=/dev/null bs=100M count=1');
    assert.equal(result.signal, 'SIGKILL', JSON.stringify(result));
    assert.ok(made.oom);
    assert.match(readFileSync(at(made, made.oom.file), 'utf8'), new RegExp(`^${made.oom.key} [1-9]`, 'm'));
    const { memory } = cgroupStats(made);
    assert.equal(memory?.limitBytes, 16 << 20);
    assert.ok(memory.oomKills >= 1);
  });
});

test('memory and memory plus swap are both set, in the order the kernel demands', { skip: onV1 }, async () => {
  await within(planFor({ memory: { limit: 32 << 20, swap: 48 << 20, reservation: 8 << 20 } }), (made) => {
    const dir = at(made, made.controllers['memory'] ?? '');
    assert.equal(readFileSync(`${dir}/memory.limit_in_bytes`, 'utf8').trim(), String(32 << 20));
    const swap = `${dir}/memory.memsw.limit_in_bytes`;
    if (existsSync(swap)) assert.equal(readFileSync(swap, 'utf8').trim(), String(48 << 20));
    else assert.match(made.warnings.join(), /swap limit is not enforced/);
  });
});

test('a limit of processes stops a fork', { skip: onV1 }, async () => {
  await within(planFor({ pids: { limit: 3 } }), (made) => {
    const result = runIn(made, 'sleep 1 & sleep 1 & sleep 1 & sleep 1 & exit 0');
    assert.match(result.stderr, /[Cc]annot fork|Resource temporarily unavailable/);
    assert.equal(cgroupStats(made).pids?.limit, 3);
  });
});

test('device rules deny what they do not allow', { skip: onV1 }, async () => {
  const plan = planFor({ devices: [{ allow: false }, { allow: true, type: 'c', major: 1, minor: 9, access: 'r' }] });
  assert.equal(plan.devices, 'v1');
  await within(plan, (made) => {
    assert.equal(runIn(made, 'head -c 1 /dev/zero > /dev/null').status, 0);
    assert.notEqual(runIn(made, ': < /dev/kmsg').status, 0);
    assert.notEqual(runIn(made, 'mknod /dev/x-tare b 1 0 && : < /dev/x-tare').status, 0);
    spawnSync('rm', ['-f', '/dev/x-tare']);
  });
});

test('the eBPF device program denies what the rules deny, on the real kernel', { skip: withUnified }, async () => {
  const rules = [
    { allow: true, type: 'c' as const },
    { allow: false, type: 'c' as const, major: 1, minor: 11 },
  ];
  const tree = detectCgroups({
    mountinfo: readFileSync('/proc/self/mountinfo', 'utf8'),
    selfCgroup: readFileSync('/proc/self/cgroup', 'utf8'),
  });
  const onlyV2 = { ...tree, mode: 'v2' as const, hierarchies: tree.hierarchies.filter((h) => h.version === 2) };
  const plan = planCgroup(onlyV2, { cgroupPath: `${parent}/bpf`, resources: { devices: rules } });
  assert.equal(plan.devices, 'bpf');
  await within(plan, (made) => {
    assert.equal(made.devices, 'bpf', made.warnings.join());
    assert.equal(runIn(made, 'head -c 1 /dev/zero > /dev/null').status, 0);
    const denied = runIn(made, ': < /dev/kmsg');
    assert.match(denied.stderr, /not permitted/i);
    assert.equal(runIn(made, ': < /dev/tty0 2>/dev/null; exit 0').status, 0);
  });
});

test(
  'a cpuset confines to the CPUs chosen, and one that does not exist is refused by name',
  { skip: onV1 },
  async () => {
    await within(planFor({ cpu: { cpus: '0' } }), (made) => {
      const allowed = spawnSync('sh', ['-c', `${enter(made)}\ngrep Cpus_allowed_list /proc/self/status`], {
        encoding: 'utf8',
      });
      assert.match(allowed.stdout, /:\s0$/m);
    });
    const plan = planFor({ cpu: { cpus: '4000' } });
    assert.throws(
      () => createCgroup(plan),
      (error) => isKind(error, 'invalid') && /choice of CPUs to 4000.*cpuset\.cpus/.test(error.message),
    );
    for (const dir of plan.dirs) assert.ok(!existsSync(at(plan, dir)), `${dir} stays after a failure`);
  },
);

test(
  'killCgroup ends all processes, those in cgroups below too, and removeCgroup takes the cgroups below',
  { skip },
  async () => {
    const plan = planFor({});
    const made = createCgroup(plan);
    const child = await startIn(made, 'trap "" TERM INT; sleep 1000 & sleep 1000 & wait');
    const below = at(made, `${made.dirs.at(-1) ?? ''}/below`);
    mkdirSync(below);
    const grandchild = spawn('sh', ['-c', `echo 0 > ${below}/cgroup.procs; exec sleep 1000`], { stdio: 'ignore' });
    while (!readFileSync(`${below}/cgroup.procs`, 'utf8').includes(String(grandchild.pid)))
      await new Promise((resolve) => setTimeout(resolve, 2));
    assert.ok(cgroupProcesses(made).length >= 4);
    assert.throws(
      () => removeCgroup(made),
      (error) => isKind(error, 'failed-precondition') && /live in it/.test(error.message),
    );
    const ends = Promise.all([once(child, 'exit'), once(grandchild, 'exit')]);
    await killCgroup(made);
    await ends;
    assert.deepEqual(cgroupProcesses(made), []);
    removeCgroup(made);
    for (const dir of made.dirs) assert.ok(!existsSync(at(made, dir)), dir);
  },
);

test(
  'killCgroup without cgroup.kill freezes, signals and thaws, also what is frozen already',
  { skip: onV1 },
  async () => {
    const v1 = { ...host, mode: 'v1' as const, hierarchies: host.hierarchies.filter((h) => h.version === 1) };
    const plan = planCgroup(v1, { cgroupPath: `${parent}/v1kill`, resources: { devices: [{ allow: true }] } });
    await within(plan, async (made) => {
      assert.equal(made.kill, '');
      const child = await startIn(made, 'while :; do sleep 0.01 & sleep 0.01; done');
      const ends = once(child, 'exit');
      await freezeCgroup(made);
      assert.ok(isCgroupFrozen(made));
      await killCgroup(made);
      assert.deepEqual(await ends, [null, 'SIGKILL']);
      assert.deepEqual(cgroupProcesses(made), []);
    });
  },
);

test('freezeCgroup stops the processes until thawCgroup', { skip }, async () => {
  await within(planFor({}), async (made) => {
    const child = await startIn(made, 'while :; do :; done');
    const spent = (): string =>
      readFileSync(`/proc/${child.pid}/stat`, 'utf8').split(') ')[1]?.split(' ').slice(11, 13).join() ?? '';
    await freezeCgroup(made);
    assert.ok(isCgroupFrozen(made));
    const before = spent();
    await new Promise((resolve) => setTimeout(resolve, 60));
    assert.equal(spent(), before);
    thawCgroup(made);
    assert.ok(!isCgroupFrozen(made));
  });
});

test('cgroupStats counts CPU time, memory and processes', { skip }, async () => {
  await within(planFor({}), async (made) => {
    await startIn(made, 'i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done; sleep 1000');
    await new Promise((resolve) => setTimeout(resolve, 200));
    const stats = cgroupStats(made);
    assert.ok((stats.cpu?.usageUsec ?? 0) > 1000, JSON.stringify(stats));
    if (made.controllers['memory'] !== undefined) assert.ok((stats.memory?.usageBytes ?? 0) > 0, JSON.stringify(stats));
    if (made.controllers['pids'] !== undefined) assert.ok((stats.pids?.current ?? 0) >= 1);
    assert.equal(stats.memory?.limitBytes, undefined);
  });
});

test('createCgroup refuses a cgroup in use and replaces an empty one left behind', { skip }, async () => {
  const plan = planFor({});
  await within(plan, async (made) => {
    await startIn(made, 'sleep 1000');
    assert.throws(
      () => createCgroup(plan),
      (error) => isKind(error, 'already-exists'),
    );
    assert.ok(existsSync(at(plan, plan.dirs[0] ?? '')), 'the one in use stays');
  });
  for (const dir of plan.dirs) mkdirSync(at(plan, dir));
  await within(plan, () => undefined);
});

test('createCgroup of 16 at once below a parent that nobody has made', { skip }, async () => {
  const fresh = `${parent}-fresh`;
  const script = `import { createCgroup, planCgroup, readCgroupHost, removeCgroup } from '${import.meta.dirname}/mod.ts';
    const plan = planCgroup(readCgroupHost(), { cgroupPath: '${fresh}/' + process.pid, resources: { devices: [{ allow: true }] } });
    removeCgroup(createCgroup(plan));`;
  const children = Array.from({ length: 16 }, () =>
    spawn(process.execPath, ['--input-type=module', '-e', script], { stdio: ['ignore', 'inherit', 'inherit'] }),
  );
  const codes = await Promise.all(children.map(async (child) => (await once(child, 'exit'))[0] as number));
  for (const h of host.hierarchies) rmdirSync(`${host.root}/${h.dir}${fresh}`);
  assert.deepEqual(
    codes,
    Array.from({ length: 16 }, () => 0),
  );
});

test(
  'createCgroup as a user without rights goes on without cgroups, but not without a limit asked for',
  { skip },
  () => {
    const script = (
      resources: string,
    ): string => `import { createCgroup, planCgroup, readCgroupHost } from '${import.meta.dirname}/mod.ts';
    process.setgroups([]); process.setgid(65534); process.setuid(65534);
    try { const made = createCgroup(planCgroup(readCgroupHost(), { cgroupPath: '/tare-test-nobody/x', resources: ${resources} }));
      console.log(JSON.stringify({ dirs: made.dirs, tasks: made.tasks, kill: made.kill, warned: made.warnings.length > 0 }));
    } catch (error) { console.log(JSON.stringify({ kind: error.kind, message: error.message })); }`;
    const run = (resources: string): unknown =>
      JSON.parse(
        spawnSync(process.execPath, ['--input-type=module', '-e', script(resources)], { encoding: 'utf8' }).stdout,
      );
    assert.deepEqual(run('{ devices: [{ allow: true }] }'), { dirs: [], tasks: [], kill: '', warned: true });
    const limited = run('{ devices: [{ allow: true }], pids: { limit: 5 } }') as { kind: string; message: string };
    assert.equal(limited.kind, 'denied');
    assert.match(limited.message, /Cannot set the limit of processes.*run as root/);
  },
);

test('createCgroup on a v2 tree enables controllers above, and takes its directory back when a limit has no file', () => {
  const root = mkdtempSync('/tmp/tare-cgroup-');
  try {
    writeFileSync(join(root, 'cgroup.subtree_control'), '');
    const plan = {
      ...planCgroup(
        { ...detectCgroups(v2Systemd), root },
        { cgroupPath: '/tare/web', resources: { devices: [{ allow: true }], memory: { limit: 64 << 20 } } },
      ),
    };
    assert.throws(
      () => createCgroup(plan),
      (error) =>
        isKind(error, 'unsupported') &&
        /memory limit to 67108864: ENOENT.*memory\.max.*Before that: .*subtree_control/.test(error.message),
    );
    assert.match(readFileSync(join(root, 'cgroup.subtree_control'), 'utf8'), /\+memory/);
    assert.ok(existsSync(join(root, 'tare')) && !existsSync(join(root, 'tare/web')));
  } finally {
    rmSync(root, { recursive: true });
  }
});

test('cgroupStats reads the files of cgroup v2', () => {
  const root = mkdtempSync('/tmp/tare-cgroup-');
  try {
    const files = {
      'cpu.stat':
        'usage_usec 5000\nuser_usec 3000\nsystem_usec 2000\nnr_periods 10\nnr_throttled 4\nthrottled_usec 700\n',
      'memory.current': '1000000\n',
      'memory.max': '2000000\n',
      'memory.stat': 'anon 5\ninactive_file 400000\n',
      'memory.events': 'oom 1\noom_kill 2\n',
      'pids.current': '7\n',
      'pids.max': 'max\n',
      'io.stat':
        '8:0 rbytes=100 wbytes=200 rios=1 wios=2 dbytes=0 dios=0\n8:16 rbytes=10 wbytes=20 rios=3 wios=4 dbytes=0 dios=0\n',
    };
    for (const [name, text] of Object.entries(files)) writeFileSync(join(root, name), text);
    const controllers = { cpu: '.', memory: '.', pids: '.', io: '.' };
    assert.deepEqual(cgroupStats({ root, unified: '.', controllers }), {
      cpu: { usageUsec: 5000, userUsec: 3000, systemUsec: 2000, throttledPeriods: 4, throttledUsec: 700 },
      memory: { usageBytes: 1_000_000, workingSetBytes: 600_000, limitBytes: 2_000_000, oomKills: 2 },
      pids: { current: 7 },
      io: { readBytes: 110, writeBytes: 220, readOps: 4, writeOps: 6 },
    });
    assert.deepEqual(cgroupStats({ root, unified: 'gone', controllers: { memory: 'gone' } }), {});
  } finally {
    rmSync(root, { recursive: true });
  }
});
