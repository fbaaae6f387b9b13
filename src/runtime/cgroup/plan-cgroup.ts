import { TareError } from '../../base/errors.ts';
import type { DeviceRule as DeviceCgroupRule, LinuxResources } from '../../spec/runtime-types.ts';
import { compileDeviceProgram } from './device-program.ts';
import {
  allowsEverything,
  deviceLines,
  parseDeviceRules,
  runtimeDeviceRules,
  type DeviceRule,
} from './device-rules.ts';
import type { CgroupHost, Hierarchy } from './host.ts';
import { Limits, limitsV1, limitsV2 } from './limits.ts';
import { cgroupComponents, joinPath as join, locateCgroup } from './locate.ts';
import type { CgroupPlan, CgroupWrite } from './plan.ts';
import { checkResources } from './resources.ts';

/** What a container asks of its cgroup. */
export interface CgroupRequest {
  /** OCI `linux.cgroupsPath`: absolute ("/tare/ID", counted from the root of each hierarchy), or relative to /tare. */
  readonly cgroupPath: string;
  /** OCI `linux.resources`. */
  readonly resources: LinuxResources;
  /** Rules instead of `resources.devices`. The runtime's own (`runtimeDeviceRules`) follow them either way, and what no rule allows is denied. */
  readonly devices?: readonly DeviceCgroupRule[];
  /** The cgroup in, or below, which the monitor lives; default: the parent. */
  readonly monitorsIn?: string;
  /** Entries in addition to `resources.unified`. */
  readonly unified?: Readonly<Record<string, string>>;
}

/** Where the monitors of the containers beside it live on cgroup v2. */
const MONITORS = 'tare-monitors';

/** Enabled for containers on cgroup v2 where the machine has them. */
const v2Controllers: readonly string[] = ['cpuset', 'cpu', 'io', 'memory', 'hugetlb', 'pids', 'rdma', 'misc'];

/**
 * Decides everything about a container's cgroup. Pure: the same host and request give the same plan.
 *
 * All usable hierarchies are joined, limits asked for or not, as every runtime does: a later update needs them.
 * Errors: invalid for values no kernel takes; unsupported for a limit this host has no controller for.
 */
export function planCgroup(host: CgroupHost, request: CgroupRequest): CgroupPlan {
  const components = cgroupComponents(request.cgroupPath);
  const resources: LinuxResources = request.unified
    ? { ...request.resources, unified: { ...request.resources.unified, ...request.unified } }
    : request.resources;
  checkResources(resources);
  const path = components.join('/');
  const ancestors = components.slice(0, -1).map((_, index) => components.slice(0, index + 1).join('/'));
  const usable = host.hierarchies.filter((h) => !h.readOnly);
  const v2 = usable.find((h) => h.version === 2);
  const v1 = usable.filter((h) => h.version === 1);
  const place = locateCgroup(host, request.cgroupPath);
  const { controllers, unified } = place;
  const warnings = [...host.warnings];

  const limits = new Limits((controller) =>
    controller === '' ? unified : Object.hasOwn(controllers, controller) ? controllers[controller] : undefined,
  );
  const cpuset = v1.find((h) => h.controllers.includes('cpuset'));
  const parentWrites: CgroupWrite[] = [];
  if (cpuset) {
    for (const ancestor of ancestors) parentWrites.push(...inherit(cpuset, ancestor, {}));
    limits.writes.push(...inherit(cpuset, path, resources));
  }
  if (v1.length > 0) {
    limitsV1(resources, limits);
    const ofV2 = Object.fromEntries(
      Object.entries(resources.unified ?? {}).filter(([file]) => file.startsWith('cgroup.')),
    );
    const refused = Object.keys(resources.unified ?? {}).filter(
      (file) => !file.startsWith('cgroup.') || v2 === undefined,
    );
    if (refused.length > 0)
      throw new TareError(
        'unsupported',
        `Cannot set ${refused.join(', ')}: this machine has its controllers on cgroup v1`,
      );
    limitsV2({ unified: ofV2 }, limits);
  } else {
    limitsV2(resources, limits);
    if (v2) parentWrites.push(...enableControllers(v2, ancestors));
  }
  warnings.push(...limits.warnings);

  const rules = [...parseDeviceRules(request.devices ?? resources.devices ?? []), ...runtimeDeviceRules];
  const devices = planDevices(rules, controllers['devices'], unified);
  if (devices.warning !== undefined) warnings.push(devices.warning);

  const order = [...v1, ...(v2 ? [v2] : [])];
  const parent = request.monitorsIn === undefined ? ancestors.at(-1) : cgroupComponents(request.monitorsIn).join('/');
  const monitors = v1.length === 0 && v2 !== undefined && parent !== undefined && join(v2.dir, `${parent}/${MONITORS}`);
  return {
    ...place,
    parents: order.flatMap((h) => ancestors.map((ancestor) => join(h.dir, ancestor))),
    parentWrites,
    writes: [...limits.writes, ...devices.writes],
    ...(monitors === false ? {} : { monitors }),
    leave:
      monitors === false
        ? v1
            .filter((h) => h.name !== undefined && parent !== undefined)
            .map((h) => `${join(h.dir, parent ?? '')}/tasks`)
        : [`${monitors}/cgroup.procs`],
    devices: devices.by,
    ...(devices.program && { devicesBpf: devices.program }),
    warnings,
  };
}

/** A v1 cpuset takes processes only once both lists are set, and starts with empty ones. */
function inherit(cpuset: Hierarchy, path: string, resources: LinuxResources): CgroupWrite[] {
  const dir = join(cpuset.dir, path);
  const parent = dir.slice(0, dir.lastIndexOf('/'));
  return (['cpus', 'mems'] as const)
    .filter((list) => !resources.cpu?.[list])
    .map((list) => ({
      file: `${dir}/cpuset.${list}`,
      value: '',
      copyOf: `${parent}/cpuset.${list}`,
      purpose: 'inherited cpuset',
      optional: false,
    }));
}

/** A v2 controller works in a cgroup only when every cgroup above passes it on. */
function enableControllers(v2: Hierarchy, ancestors: readonly string[]): CgroupWrite[] {
  const value = v2Controllers
    .filter((name) => v2.controllers.includes(name))
    .map((name) => `+${name}`)
    .join(' ');
  if (value === '') return [];
  return ['', ...ancestors].map((ancestor) => ({
    file: [v2.dir, ancestor, 'cgroup.subtree_control'].filter(Boolean).join('/'),
    value,
    purpose: 'use of the controllers below',
    optional: true,
  }));
}

interface DevicePlan {
  readonly by: 'v1' | 'bpf' | 'none';
  readonly writes: readonly CgroupWrite[];
  readonly program?: Uint8Array;
  readonly warning?: string;
}

/** v1 has a controller; v2 a program. Where v1's list cannot say what the rules mean, the program on the unified tree can. */
function planDevices(rules: readonly DeviceRule[], v1: string | undefined, unified: string | undefined): DevicePlan {
  if (allowsEverything(rules)) return { by: 'none', writes: [] };
  const lines = v1 === undefined ? undefined : deviceLines(rules);
  if (lines !== undefined) {
    return {
      by: 'v1',
      writes: lines.map(({ file, line }) => ({
        file: `${v1}/${file}`,
        value: line,
        purpose: `device rule "${line}"`,
        optional: false,
      })),
    };
  }
  if (unified !== undefined) return { by: 'bpf', writes: [], program: compileDeviceProgram(rules) };
  if (v1 !== undefined) {
    throw new TareError(
      'unsupported',
      'Cannot apply the device rules: one denies a part of what an earlier wildcard allows, which takes cgroup v2',
    );
  }
  return {
    by: 'none',
    writes: [],
    warning: 'Device rules are not enforced: there is neither a devices cgroup nor cgroup v2',
  };
}
