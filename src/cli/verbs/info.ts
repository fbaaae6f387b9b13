import type { EngineInfo } from '../../engine/info.ts';
import { engineInfo } from '../../engine/info.ts';
import { compileFormat } from '../format.ts';
import { outline } from '../outline.ts';
import { defineVerb } from '../verb.ts';

/** `tare info`. */
export const verb = defineVerb({
  usage: '[OPTIONS]',
  flags: {
    format: {
      type: 'text',
      short: 'f',
      value: 'json|TEMPLATE',
      help: "Print fields of the JSON, like {{.Host.Kernel}}, or docker's, like {{.CgroupVersion}}",
    },
  },
  args: { min: 0, max: 0 },
  examples: [
    ['info', 'Places, kernel, cgroups, and what is missing here and what to do about it'],
    ["info --format '{{range .Missing}}{{println .What}}{{end}}'", 'Only what is missing'],
  ],
  async run(context, values) {
    const format = values.format === undefined ? undefined : compileFormat(values.format, { strict: true });
    const info = await engineInfo(context.engine);
    if (format === undefined) context.print(outline(forPeople(info)));
    else context.print(format.json ? `${JSON.stringify(info)}\n` : `${format.render(fields(info))}\n`);
    return 0;
  },
});

function forPeople({ host, missing, ...rest }: EngineInfo): object {
  const { kernelFeatures, programs, ...shown } = host;
  return {
    host: {
      ...shown,
      cgroupControllers: host.cgroupControllers.join(' '),
      kernelFeatures: Object.entries(kernelFeatures)
        .map(([name, value]) => (value === true ? name : `${name}=${value}`))
        .join(' '),
      programs: Object.entries(programs).map(([name, path]) => `${name}: ${path === '' ? 'not found' : path}`),
    },
    ...rest,
    missing: missing.map(({ what, effect, todo }) => `${what}: ${effect}; ${todo}`),
  };
}

/** What a template may use: the JSON, and docker's names. */
function fields(info: EngineInfo): object {
  const { host, store, version } = info;
  const { containerStore: containers } = store;
  const has = (controller: string): boolean => host.cgroupControllers.includes(controller);
  const { seccompEnabled, apparmorEnabled, selinuxEnabled, rootless } = host.security;
  const options = { seccomp: seccompEnabled, apparmor: apparmorEnabled, selinux: selinuxEnabled, rootless };
  return {
    ...info,
    host: { ...host, CgroupsVersion: host.cgroupVersion },
    Name: host.hostname,
    ServerVersion: version.Version,
    OperatingSystem: host.distribution,
    OSType: host.os,
    KernelVersion: host.kernel,
    Architecture: host.arch,
    NCPU: host.cpus,
    MemTotal: host.memTotal,
    Driver: store.graphDriverName,
    DockerRootDir: store.root,
    CgroupDriver: host.cgroupManager,
    CgroupVersion: host.cgroupVersion === 'v2' ? '2' : '1',
    Containers: containers.number,
    ContainersRunning: containers.running,
    ContainersPaused: containers.paused,
    ContainersStopped: containers.stopped,
    Images: store.imageStore?.number ?? 0,
    LoggingDriver: 'k8s-file',
    MemoryLimit: has('memory'),
    PidsLimit: has('pids'),
    CPUShares: has('cpu'),
    CPUSet: has('cpuset'),
    SecurityOptions: Object.entries(options).flatMap(([name, on]) => (on ? [`name=${name}`] : [])),
    Warnings: info.missing.map(({ what, effect }) => `No ${what}: ${effect}`),
  };
}
