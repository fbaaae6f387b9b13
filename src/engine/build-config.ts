import { readFileSync } from 'node:fs';
import { TareError } from '../base/errors.ts';
import { SECCOMP_ANNOTATION } from '../runtime/compile/process.ts';
import { maskedPaths, readonlyPaths } from '../runtime/default-paths.ts';
import { allCapabilities, defaultCapabilities, tweakCapabilities } from '../spec/capabilities.ts';
import { parseUlimit } from '../spec/rlimits.ts';
import type { Linux, Mount as OciMount, Namespace, RuntimeConfig } from '../spec/runtime-config.ts';
import type { Fd } from '../sys/fd.ts';
import { requestedDevices } from './config-devices.ts';
import { environment } from './config-env.ts';
import { configFiles } from './config-files.ts';
import { requestedMounts } from './config-mounts.ts';
import { linuxResources } from './config-resources.ts';
import type { CreateOptions } from './create-options.ts';
import { shortId } from './ids.ts';
import type { PreparedSource } from './prepare-source.ts';
import { parseSecurityOptions } from './security-options.ts';
import { resolveUser } from './users.ts';

export interface ConfigInput {
  /** The container's directory: generated files go there. */
  readonly dir: string;
  readonly id: string;
  readonly options: CreateOptions;
  readonly prepared: PreparedSource;
  readonly rootfs: Fd;
  readonly cgroupPath: string;
}

const DEFAULT_SHM_BYTES = 64 * 1024 * 1024;
/** What podman sets: enough for anything but a fork bomb. */
const DEFAULT_PIDS_LIMIT = 2048;

/**
 * Puts image config and user options together as an OCI config: the user's word over the image's, the image's over the default.
 * Reads passwd and group beneath the rootfs; writes hosts, hostname and resolv.conf into the container's directory.
 *
 * Errors: invalid options; not-found user, group, device or mount source.
 */
export function buildConfig(input: ConfigInput): { config: RuntimeConfig; warnings: string[] } {
  if (input.prepared.bundle !== undefined) return { config: bundleConfig(input, input.prepared.bundle), warnings: [] };
  const { options, prepared } = input;
  const image = prepared.imageConfig?.process;
  const privileged = options.privileged === true;
  const security = parseSecurityOptions(options.securityOpt ?? [], privileged);
  const hostNetwork = options.network === 'host';
  const hostname = options.hostname ?? (hostNetwork ? readFileSync('/proc/sys/kernel/hostname', 'utf8').trim() : shortId(input.id));
  const user = resolveUser(input.rootfs, options.user ?? imageUser(image?.user), options.groupAdd ?? []);
  const args = commandLine(options, image);
  const devices = requestedDevices(options.devices ?? [], privileged);
  const capabilities = tweakCapabilities(privileged ? allCapabilities : defaultCapabilities, options.capAdd ?? [], options.capDrop ?? []);
  const cwd = options.workdir ?? image?.workingDir ?? '/';
  if (!cwd.startsWith('/')) throw new TareError('invalid', `Cannot use working directory ${cwd}: it must be absolute`);
  const files = configFiles({ dir: input.dir, hostname, hostNetwork });
  const mounts = [
    ...prepared.mounts,
    ...baseMounts(options, privileged),
    ...files,
    ...volumeMounts(image?.volumes ?? [], options),
    ...requestedMounts(options.mounts ?? []),
  ];
  const linux: Linux = {
    cgroupsPath: input.cgroupPath,
    namespaces: namespaces(hostNetwork),
    resources: { ...linuxResources(options.resources ?? {}, DEFAULT_PIDS_LIMIT), devices: devices.rules },
    devices: devices.nodes,
    sysctl: sysctls(options.sysctls ?? []),
    maskedPaths: [...(privileged ? [] : maskedPaths), ...prepared.masked],
    readonlyPaths: privileged ? [] : readonlyPaths,
    rootfsPropagation: 'rslave',
    ...(security.seccomp.kind === 'profile' ? { seccomp: security.seccomp.profile } : {}),
  };
  const config: RuntimeConfig = {
    ociVersion: '1.2.0',
    process: {
      terminal: options.terminal === true,
      user: { uid: user.uid, gid: user.gid, additionalGids: user.additionalGids },
      args,
      env: environment({ image: image?.env ?? [], user: options.env ?? [], home: user.home, hostname, terminal: options.terminal === true }),
      cwd,
      capabilities: { bounding: capabilities, effective: capabilities, permitted: capabilities, inheritable: [], ambient: [] },
      rlimits: (options.ulimits ?? []).map(parseUlimit),
      noNewPrivileges: security.noNewPrivileges,
      oomScoreAdj: 0,
    },
    root: { path: 'rootfs', readonly: options.readOnly === true },
    hostname,
    mounts,
    annotations: { ...options.annotations, ...(security.seccomp.kind === 'default' ? { [SECCOMP_ANNOTATION]: 'default' } : {}) },
    linux,
  };
  return { config, warnings: [] };
}

function imageUser(user: { readonly user: string | number; readonly group?: string | number } | undefined): string {
  if (user === undefined) return '';
  return user.group === undefined ? String(user.user) : `${user.user}:${user.group}`;
}

function commandLine(options: CreateOptions, image: { readonly entrypoint?: readonly string[]; readonly cmd?: readonly string[] } | undefined): string[] {
  const entrypoint = options.entrypoint ?? image?.entrypoint ?? [];
  // An entrypoint of the user's drops the image's command, as in docker.
  const command = options.argv.length > 0 ? options.argv : options.entrypoint === undefined ? (image?.cmd ?? []) : [];
  const args = [...entrypoint, ...command];
  if (args.length === 0) throw new TareError('invalid', `Cannot run ${options.source}: no command given, and the source names none`);
  return args;
}

function namespaces(hostNetwork: boolean): Namespace[] {
  const all: Namespace[] = [{ type: 'pid' }, { type: 'ipc' }, { type: 'uts' }, { type: 'mount' }, { type: 'cgroup' }];
  return hostNetwork ? all : [...all, { type: 'network' }];
}

function baseMounts(options: CreateOptions, privileged: boolean): OciMount[] {
  const shm = options.shmSizeBytes ?? DEFAULT_SHM_BYTES;
  const taken = new Set((options.mounts ?? []).map((mount) => mount.destination));
  const sysOptions = ['nosuid', 'noexec', 'nodev', privileged ? 'rw' : 'ro'];
  const base: OciMount[] = [
    { destination: '/proc', type: 'proc', source: 'proc', options: ['nosuid', 'noexec', 'nodev'] },
    { destination: '/dev', type: 'tmpfs', source: 'tmpfs', options: ['nosuid', 'strictatime', 'mode=755', 'size=65536k'] },
    { destination: '/dev/pts', type: 'devpts', source: 'devpts', options: ['nosuid', 'noexec', 'newinstance', 'ptmxmode=0666', 'mode=0620', 'gid=5'] },
    { destination: '/dev/mqueue', type: 'mqueue', source: 'mqueue', options: ['nosuid', 'noexec', 'nodev'] },
    { destination: '/dev/shm', type: 'tmpfs', source: 'shm', options: ['nosuid', 'noexec', 'nodev', 'mode=1777', `size=${shm}`] },
    { destination: '/sys', type: 'sysfs', source: 'sysfs', options: sysOptions },
    { destination: '/sys/fs/cgroup', type: 'cgroup', source: 'cgroup', options: ['nosuid', 'noexec', 'nodev', 'relatime', privileged ? 'rw' : 'ro'] },
  ];
  // Read-only containers still get writable places where everything expects one.
  const scratch: OciMount[] =
    options.readOnly === true
      ? ['/run', '/tmp', '/var/tmp'].map((destination) => ({ destination, type: 'tmpfs', source: 'tmpfs', options: ['nosuid', 'nodev', 'mode=1777'] }))
      : [];
  return [...base, ...scratch].filter((mount) => !taken.has(mount.destination));
}

/** Volumes of the image that the user did not mount: a tmpfs each until named and anonymous volumes exist. */
function volumeMounts(volumes: readonly string[], options: CreateOptions): OciMount[] {
  const taken = new Set((options.mounts ?? []).map((mount) => mount.destination));
  return volumes
    .filter((destination) => !taken.has(destination))
    .map((destination) => ({ destination, type: 'tmpfs', source: 'tmpfs', options: ['nosuid', 'nodev', 'mode=755', 'tmpcopyup'] }));
}

function sysctls(list: readonly string[]): Record<string, string> {
  return Object.fromEntries(
    list.map((text) => {
      const at = text.indexOf('=');
      if (at <= 0) throw new TareError('invalid', `Cannot use --sysctl ${text}: expected NAME=VALUE`);
      return [text.slice(0, at), text.slice(at + 1)];
    }),
  );
}

/** A bundle brings its own config; only what the command line says is changed. */
function bundleConfig(input: ConfigInput, bundle: RuntimeConfig): RuntimeConfig {
  const { options } = input;
  const process = bundle.process;
  if (process === undefined) throw new TareError('invalid', 'Cannot run bundle: its config.json has no process');
  return {
    ...bundle,
    process: {
      ...process,
      ...(options.argv.length > 0 ? { args: options.argv } : {}),
      ...(options.workdir === undefined ? {} : { cwd: options.workdir }),
      env: [...(process.env ?? []), ...(options.env ?? [])],
      terminal: options.terminal ?? process.terminal ?? false,
    },
    linux: { ...bundle.linux, cgroupsPath: bundle.linux?.cgroupsPath ?? input.cgroupPath },
  };
}
