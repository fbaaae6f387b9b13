import { readFileSync } from 'node:fs';
import { TareError } from '../base/errors.ts';
import { defaultConfig } from '../runtime/default-config.ts';
import type { LinuxSeccomp, Mount as OciMount, RuntimeConfig } from '../spec/runtime-config.ts';
import { allCapabilities, capabilityMask, defaultCapabilities, tweakCapabilities } from '../spec/capabilities.ts';
import type { Fd } from '../sys/fd.ts';
import { applicableLimits } from './applicable-limits.ts';
import { defaultPidsLimit } from './cgroups.ts';
import { requestedDevices } from './config-devices.ts';
import { environment } from './config-env.ts';
import { configFiles } from './config-files.ts';
import { requestedMounts } from './config-mounts.ts';
import type { CreateOptions } from './create-options.ts';
import { inUserNamespace } from './config-user-namespace.ts';
import type { Engine } from './engine.ts';
import { shortId } from './ids.ts';
import type { PreparedSource } from './prepare-source.ts';
import type { NameOptions } from './network-files.ts';
import type { NetworkRequest } from './network-request.ts';
import { nativeArch } from './seccomp.ts';
import { parseSecurityOptions, type SecurityOptions } from './security-options.ts';
import { outsideId, type UserNamespace } from './user-namespace.ts';
import { resolveUser } from './users.ts';

export interface ConfigInput {
  readonly engine: Engine;
  /** The container's directory: generated files go there. */
  readonly dir: string;
  readonly id: string;
  readonly options: CreateOptions;
  readonly prepared: PreparedSource;
  readonly rootfs: Fd;
  readonly cgroupPath: string;
  /** A user namespace of its own. */
  readonly namespace?: UserNamespace;
  /** More than none, or the machine's network. */
  readonly network?: NetworkRequest;
  readonly names?: NameOptions;
  /** What the user and the image want mounted, where that is more than binds and tmpfs. */
  readonly mounts?: readonly OciMount[];
}

/**
 * Puts image config and user options together as an OCI config: the user's word over the image's, the image's over the default.
 * Reads passwd and group beneath the rootfs; writes hosts, hostname and resolv.conf into the container's directory.
 *
 * Errors: invalid options; not-found user, group, device or mount source.
 */
export async function buildConfig(input: ConfigInput): Promise<{ config: RuntimeConfig; warnings: readonly string[] }> {
  if (input.prepared.bundle !== undefined) {
    if (input.network !== undefined)
      throw new TareError(
        'unsupported',
        'Cannot put a bundle into networks: its config.json says which network namespace it has',
      );
    return { config: bundleConfig(input, input.prepared.bundle), warnings: [] };
  }
  const { options, prepared } = input;
  const image = prepared.imageConfig?.process;
  const privileged = options.privileged === true;
  const security = parseSecurityOptions(options.securityOpt ?? [], privileged);
  const hostNetwork = input.network === undefined && options.network?.includes('host') === true;
  const hostname =
    options.hostname ?? (hostNetwork ? readFileSync('/proc/sys/kernel/hostname', 'utf8').trim() : shortId(input.id));
  const user = resolveUser(
    input.rootfs,
    options.user ?? input.namespace?.user ?? imageUser(image?.user),
    options.groupAdd ?? [],
  );
  const args = commandLine(options, image);
  const devices = requestedDevices(options.devices ?? [], privileged);
  const cwd = options.workdir ?? image?.workingDir ?? '/';
  if (!cwd.startsWith('/')) throw new TareError('invalid', `Cannot use working directory ${cwd}: it must be absolute`);
  const limits = applicableLimits(input.engine, options.resources ?? {}, defaultPidsLimit(input.engine));
  const base = defaultConfig({
    argv: args,
    env: environment({
      image: image?.env ?? [],
      user: options.env ?? [],
      home: user.home,
      hostname,
      terminal: options.terminal === true,
    }),
    cwd,
    uid: user.uid,
    gid: user.gid,
    additionalGids: user.additionalGids,
    hostname,
    terminal: options.terminal === true,
    readonly: options.readOnly === true,
    privileged,
    capAdd: options.capAdd ?? [],
    capDrop: options.capDrop ?? [],
    noNewPrivileges: security.noNewPrivileges,
    seccomp: await seccompProfile(security.seccomp, options, privileged),
    devices: devices.nodes,
    deviceRules: devices.rules,
    sysctls: sysctls(options.sysctls ?? []),
    ulimits: options.ulimits ?? [],
    ...(options.shmSizeBytes === undefined ? {} : { shmSizeBytes: options.shmSizeBytes }),
    namespaces: { network: hostNetwork ? 'host' : 'private' },
    resources: limits.resources,
    cgroupsPath: input.cgroupPath,
    annotations: options.annotations ?? {},
  });
  const own = [
    ...(options.readOnly === true ? scratchMounts() : []),
    ...configFiles({
      dir: input.dir,
      hostname,
      hostNetwork,
      hasNetwork: input.network !== undefined,
      ...(await namedFiles(input, hostname)),
      ...ownerOf(input.namespace),
    }),
  ];
  const asked = input.mounts ?? requestedMounts(options.mounts ?? []);
  const taken = new Set(asked.map(({ destination }) => destination));
  const config: RuntimeConfig = {
    ...base,
    ...(base.process === undefined || options.terminalSize === undefined
      ? {}
      : {
          process: {
            ...base.process,
            consoleSize: { height: options.terminalSize.rows, width: options.terminalSize.cols },
          },
        }),
    mounts: [
      ...prepared.mounts,
      ...[...(base.mounts ?? []), ...own].filter(({ destination }) => !taken.has(destination)),
      ...asked,
    ],
    linux: { ...base.linux, maskedPaths: [...(base.linux?.maskedPaths ?? []), ...prepared.masked] },
  };
  const { engine, namespace } = input;
  return {
    config:
      engine.rootless === undefined && namespace === undefined
        ? config
        : inUserNamespace(config, { own: namespace, sharesNetwork: input.network?.of !== undefined }),
    warnings: limits.warnings,
  };
}

/** What is in the files about names, where somebody asked for more than the machine's. Networks have them written at each start. */
async function namedFiles(
  { names, network }: ConfigInput,
  hostname: string,
): Promise<{ readonly hosts?: string; readonly resolvConf?: string }> {
  if (names === undefined || network !== undefined) return {};
  const { hostsText, resolvText } = await import('./network-files.ts');
  return { hosts: hostsText([hostname], undefined, names), resolvConf: resolvText(names).text };
}

/** Of the files that we write for it: its root. */
function ownerOf(namespace: UserNamespace | undefined): { owner?: { uid: number; gid: number } } {
  if (namespace === undefined) return {};
  const [uid, gid] = [outsideId(namespace.uidMappings, 0), outsideId(namespace.gidMappings, 0)];
  return uid === undefined || gid === undefined ? {} : { owner: { uid, gid } };
}

async function seccompProfile(
  chosen: SecurityOptions['seccomp'],
  options: CreateOptions,
  privileged: boolean,
): Promise<'default' | 'unconfined' | LinuxSeccomp> {
  if (chosen.kind !== 'file') return chosen.kind;
  const { parseSeccompProfile } = await import('../runtime/seccomp/profile-json.ts');
  const { release } = await import('node:os');
  const capabilities = tweakCapabilities(
    privileged ? allCapabilities : defaultCapabilities,
    options.capAdd ?? [],
    options.capDrop ?? [],
  );
  return parseSeccompProfile(chosen.json, {
    capabilities: capabilityMask(capabilities),
    native: nativeArch(),
    kernel: release(),
  });
}

function imageUser(user: { readonly user: string | number; readonly group?: string | number } | undefined): string {
  if (user === undefined) return '';
  return user.group === undefined ? String(user.user) : `${user.user}:${user.group}`;
}

function commandLine(
  options: CreateOptions,
  image: { readonly entrypoint?: readonly string[]; readonly cmd?: readonly string[] } | undefined,
): string[] {
  const entrypoint = options.entrypoint ?? image?.entrypoint ?? [];
  // An entrypoint of the user's drops the image's command, as in docker.
  const command = options.argv.length > 0 ? options.argv : options.entrypoint === undefined ? (image?.cmd ?? []) : [];
  const args = [...entrypoint, ...command];
  if (args.length === 0)
    throw new TareError('invalid', `Cannot run ${options.source}: no command given, and the source names none`);
  return args;
}

/** Read-only containers still get writable places where everything expects one. */
function scratchMounts(): OciMount[] {
  return ['/run', '/tmp', '/var/tmp'].map((destination) => ({
    destination,
    type: 'tmpfs',
    source: 'tmpfs',
    options: ['nosuid', 'nodev', 'mode=1777'],
  }));
}

/** `--sysctl` as the OCI config has it. Errors: invalid. */
export function sysctls(list: readonly string[]): Record<string, string> {
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
    mounts: [...(bundle.mounts ?? []), ...(input.mounts ?? requestedMounts(options.mounts ?? []))],
    linux: { ...bundle.linux, cgroupsPath: bundle.linux?.cgroupsPath ?? input.cgroupPath },
  };
}
