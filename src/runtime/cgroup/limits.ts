import { TareError } from '../../base/errors.ts';
import type { LinuxResources } from '../../spec/runtime-types.ts';
import { blkioToIoWeight, decimal, limitToV2, sharesToWeight, swapToV2 } from './convert.ts';
import type { CgroupWrite } from './plan.ts';
import { throttles } from './resources.ts';

/** Collects the writes of one container. `where` answers the directory of a controller, or undefined where the host lacks it. */
export class Limits {
  readonly writes: CgroupWrite[] = [];
  readonly warnings: string[] = [];
  readonly #where: (controller: string) => string | undefined;

  constructor(where: (controller: string) => string | undefined) {
    this.#where = where;
  }

  /** Writes `value` to `file` in the directory of `controller`. Errors: unsupported when the host has no such controller. */
  set(
    purpose: string,
    controller: string,
    file: string,
    value: string,
    options: { optional?: boolean; orElse?: readonly [file: string, value: string] } = {},
  ): void {
    const dir = this.#where(controller);
    if (dir === undefined) {
      throw new TareError(
        'unsupported',
        `Cannot set the ${purpose}: this machine offers no usable ${controller} cgroup controller (see /proc/cgroups and the mounts below /sys/fs/cgroup)`,
      );
    }
    const { optional = false, orElse } = options;
    this.writes.push({
      file: `${dir}/${file}`,
      value,
      purpose,
      optional,
      ...(orElse && { orElse: { file: `${dir}/${orElse[0]}`, value: orElse[1] } }),
    });
  }

  /** Something cgroup v2 or v1 has no word for. */
  drop(purpose: string, version: 1 | 2): void {
    this.warnings.push(`The ${purpose} has no effect: cgroup v${version} has no such setting`);
  }
}

/** Limits in the files of cgroup v1. The cgroup is fresh: what is unlimited is left alone. */
export function limitsV1(resources: LinuxResources, to: Limits): void {
  const { memory, cpu, pids, blockIO, network } = resources;
  if (memory) {
    // Memory first: memory plus swap may not be less than memory, and both start unlimited.
    if (memory.limit && memory.limit > 0)
      to.set('memory limit', 'memory', 'memory.limit_in_bytes', decimal(memory.limit));
    if (memory.swap && memory.swap > 0)
      to.set('swap limit', 'memory', 'memory.memsw.limit_in_bytes', decimal(memory.swap), { optional: true });
    if (memory.reservation && memory.reservation > 0)
      to.set('memory reservation', 'memory', 'memory.soft_limit_in_bytes', decimal(memory.reservation));
    if (memory.kernelTCP && memory.kernelTCP > 0)
      to.set('TCP buffer limit', 'memory', 'memory.kmem.tcp.limit_in_bytes', decimal(memory.kernelTCP), {
        optional: true,
      });
    if (memory.swappiness !== undefined)
      to.set('swappiness', 'memory', 'memory.swappiness', decimal(memory.swappiness));
    if (memory.disableOOMKiller) to.set('OOM killer switch', 'memory', 'memory.oom_control', '1');
  }
  if (cpu) {
    if (cpu.idle) to.set('idle CPU class', 'cpu', 'cpu.idle', '1');
    else if (cpu.shares) to.set('CPU shares', 'cpu', 'cpu.shares', decimal(cpu.shares));
    if (cpu.period) to.set('CPU period', 'cpu', 'cpu.cfs_period_us', decimal(cpu.period));
    if (cpu.quota && cpu.quota > 0) to.set('CPU quota', 'cpu', 'cpu.cfs_quota_us', decimal(cpu.quota));
    if (cpu.burst) to.set('CPU burst', 'cpu', 'cpu.cfs_burst_us', decimal(cpu.burst));
    if (cpu.realtimePeriod) to.set('realtime period', 'cpu', 'cpu.rt_period_us', decimal(cpu.realtimePeriod));
    if (cpu.realtimeRuntime) to.set('realtime runtime', 'cpu', 'cpu.rt_runtime_us', decimal(cpu.realtimeRuntime));
    if (cpu.cpus) to.set('choice of CPUs', 'cpuset', 'cpuset.cpus', cpu.cpus);
    if (cpu.mems) to.set('choice of memory nodes', 'cpuset', 'cpuset.mems', cpu.mems);
  }
  if (pids?.limit && pids.limit > 0) to.set('limit of processes', 'pids', 'pids.max', decimal(pids.limit));
  if (blockIO) {
    if (blockIO.weight) {
      const weight = decimal(blockIO.weight);
      to.set('block I/O weight', 'blkio', 'blkio.weight', weight, { orElse: ['blkio.bfq.weight', weight] });
    }
    for (const { major, minor, weight } of blockIO.weightDevice ?? []) {
      if (!weight) continue;
      const line = `${major}:${minor} ${weight}`;
      to.set('block I/O weight of a device', 'blkio', 'blkio.weight_device', line, {
        orElse: ['blkio.bfq.weight_device', line],
      });
    }
    for (const { field, v1 } of throttles) {
      for (const { major, minor, rate } of blockIO[field] ?? [])
        to.set('block I/O throttle', 'blkio', v1, `${major}:${minor} ${decimal(rate)}`);
    }
  }
  for (const { pageSize, limit } of resources.hugepageLimits ?? []) {
    to.set(`limit of ${pageSize} huge pages`, 'hugetlb', `hugetlb.${pageSize}.limit_in_bytes`, decimal(limit));
    to.set(
      `reservation limit of ${pageSize} huge pages`,
      'hugetlb',
      `hugetlb.${pageSize}.rsvd.limit_in_bytes`,
      decimal(limit),
      { optional: true },
    );
  }
  if (network?.classID) to.set('network class', 'net_cls', 'net_cls.classid', decimal(network.classID));
  for (const { name, priority } of network?.priorities ?? [])
    to.set('network priority', 'net_prio', 'net_prio.ifpriomap', `${name} ${priority}`);
  rdma(resources, to);
}

/** Limits in the files of cgroup v2. The cgroup is fresh: what is unlimited is left alone. */
export function limitsV2(resources: LinuxResources, to: Limits): void {
  const { memory, cpu, pids, blockIO, network } = resources;
  if (memory) {
    if (memory.limit && memory.limit > 0) to.set('memory limit', 'memory', 'memory.max', decimal(memory.limit));
    const swap = swapToV2(memory.limit || undefined, memory.swap || undefined);
    if (swap !== undefined && swap !== 'max')
      to.set('swap limit', 'memory', 'memory.swap.max', swap, { optional: true });
    if (memory.reservation && memory.reservation > 0)
      to.set('memory reservation', 'memory', 'memory.low', decimal(memory.reservation));
    if (memory.kernelTCP) to.drop('TCP buffer limit', 2);
    if (memory.swappiness !== undefined) to.drop('swappiness', 2);
    if (memory.disableOOMKiller) to.drop('OOM killer switch', 2);
  }
  if (cpu) {
    if (cpu.idle) to.set('idle CPU class', 'cpu', 'cpu.idle', '1');
    else if (cpu.shares) to.set('CPU shares', 'cpu', 'cpu.weight', decimal(sharesToWeight(cpu.shares)));
    if ((cpu.quota && cpu.quota > 0) || cpu.period) {
      const quota = cpu.quota && cpu.quota > 0 ? decimal(cpu.quota) : 'max';
      to.set('CPU quota', 'cpu', 'cpu.max', `${quota} ${cpu.period || 100_000}`);
    }
    if (cpu.burst) to.set('CPU burst', 'cpu', 'cpu.max.burst', decimal(cpu.burst));
    if (cpu.realtimePeriod || cpu.realtimeRuntime) to.drop('realtime scheduling limit', 2);
    if (cpu.cpus) to.set('choice of CPUs', 'cpuset', 'cpuset.cpus', cpu.cpus);
    if (cpu.mems) to.set('choice of memory nodes', 'cpuset', 'cpuset.mems', cpu.mems);
  }
  if (pids?.limit && pids.limit > 0) to.set('limit of processes', 'pids', 'pids.max', decimal(pids.limit));
  if (blockIO) {
    // BFQ takes blkio's own range; the cost model's io.weight is the other kernel's answer.
    if (blockIO.weight)
      to.set('block I/O weight', 'io', 'io.bfq.weight', decimal(blockIO.weight), {
        orElse: ['io.weight', `default ${blkioToIoWeight(blockIO.weight)}`],
      });
    for (const { major, minor, weight } of blockIO.weightDevice ?? []) {
      if (!weight) continue;
      const node = `${major}:${minor}`;
      to.set('block I/O weight of a device', 'io', 'io.bfq.weight', `${node} ${weight}`, {
        orElse: ['io.weight', `${node} ${blkioToIoWeight(weight)}`],
      });
    }
    const lines = new Map<string, string[]>();
    for (const { field, v2 } of throttles) {
      for (const { major, minor, rate } of blockIO[field] ?? []) {
        const node = `${major}:${minor}`;
        lines.set(node, [...(lines.get(node) ?? []), `${v2}=${rate === 0 ? 'max' : decimal(rate)}`]);
      }
    }
    for (const [node, keys] of lines) to.set('block I/O throttle', 'io', 'io.max', `${node} ${keys.join(' ')}`);
  }
  for (const { pageSize, limit } of resources.hugepageLimits ?? []) {
    to.set(`limit of ${pageSize} huge pages`, 'hugetlb', `hugetlb.${pageSize}.max`, limitToV2(limit));
    to.set(`reservation limit of ${pageSize} huge pages`, 'hugetlb', `hugetlb.${pageSize}.rsvd.max`, limitToV2(limit), {
      optional: true,
    });
  }
  if (network?.classID || (network?.priorities ?? []).length > 0) to.drop('network class or priority', 2);
  rdma(resources, to);
  for (const [file, value] of Object.entries(resources.unified ?? {})) {
    const controller = file.slice(0, file.indexOf('.'));
    to.set(`setting ${file}`, controller === 'cgroup' ? '' : controller, file, value);
  }
}

/** The same file in both versions. */
function rdma(resources: LinuxResources, to: Limits): void {
  for (const [name, { hcaHandles, hcaObjects }] of Object.entries(resources.rdma ?? {})) {
    const keys = [
      hcaHandles === undefined ? '' : ` hca_handle=${hcaHandles}`,
      hcaObjects === undefined ? '' : ` hca_object=${hcaObjects}`,
    ].join('');
    if (keys !== '') to.set(`RDMA limit of ${name}`, 'rdma', 'rdma.max', name + keys);
  }
}
