import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { dropUndefined } from '../base/defined.ts';
import type { CreateOptions, MountRequest, ResourceLimits } from '../engine/create-options.ts';
import type { LogDriver } from '../engine/record.ts';
import { normalCapability } from '../spec/capabilities.ts';
import { parseUlimit } from '../spec/rlimits.ts';
import { parseSignal } from '../spec/signals.ts';
import type { createFlags } from './create-flags.ts';
import { readEnvFile, variable } from './environment.ts';
import type { FlagValues } from './flag-table.ts';
import { idInFile } from './id-file.ts';
import { limitsGiven } from './limit-flags.ts';
import { parseMountFlag, parseTmpfsFlag } from './mount-flags.ts';
import { registryAccess } from './registry-flags.ts';
import { healthOf, restartOf } from './supervise-flags.ts';
import { parseSecretFlag } from './secret-flag.ts';
import { UsageError } from './usage-error.ts';
import { keyValue, parseInteger, parseSize } from './values.ts';
import { parseVolumeFlag } from './volume-flag.ts';

/** The flags of `run` and `create`, parsed. */
export type CreateFlagValues = FlagValues<typeof createFlags>;

/** What the door knows of the caller. */
export interface Caller {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly cwd: string;
}

/**
 * What a command line asks for, as the engine takes it. Every value is checked; nothing is created.
 *
 * Errors: UsageError; `invalid` from the spec's own parsers.
 */
export function createOptions(flags: CreateFlagValues, positionals: readonly string[], caller: Caller): CreateOptions {
  const { source, argv } = sourceOf(flags, positionals);
  for (const capability of [...flags['cap-add'], ...flags['cap-drop']])
    if (!/^(cap_)?all$/i.test(capability)) normalCapability(capability);
  flags.ulimit.forEach(parseUlimit);
  if (flags['stop-signal'] !== undefined) parseSignal(flags['stop-signal']);
  for (const sysctl of flags.sysctl) keyValue('--sysctl', sysctl);

  const mounts = mountsOf(flags, caller);
  const env = envOf(flags, caller);
  const labels = labelsOf(flags, caller.cwd);
  const annotations = Object.fromEntries(flags.annotation.map((text) => keyValue('--annotation', text)));
  const resources = resourcesOf(flags);
  return dropUndefined({
    source,
    argv,
    cwd: caller.cwd,
    name: flags.name,
    env: nonEmpty(env),
    workdir: flags.workdir,
    user: flags.user,
    entrypoint: flags.entrypoint === undefined ? undefined : entrypointOf(flags.entrypoint),
    hostname: flags.hostname,
    userns: flags.userns,
    uidMap: nonEmpty(flags.uidmap),
    gidMap: nonEmpty(flags.gidmap),
    subuidName: flags.subuidname,
    subgidName: flags.subgidname,
    network: flags.network.length === 1 ? flags.network[0] : nonEmpty(flags.network),
    pod: podOf(flags, caller),
    ip: flags.ip,
    ip6: flags.ip6,
    macAddress: flags['mac-address'],
    networkAliases: nonEmpty(flags['network-alias']),
    egress: nonEmpty(flags.egress),
    publish: nonEmpty(flags.publish),
    publishAll: flags['publish-all'],
    expose: nonEmpty(flags.expose),
    dns: nonEmpty(flags.dns),
    dnsSearch: nonEmpty(flags['dns-search']),
    dnsOptions: nonEmpty(flags['dns-option']),
    addHosts: nonEmpty(flags['add-host']),
    mounts: nonEmpty(mounts),
    secrets: nonEmpty(flags.secret.map(parseSecretFlag)),
    volumesFrom: nonEmpty(flags['volumes-from']),
    readOnly: flags['read-only'],
    capAdd: nonEmpty(flags['cap-add']),
    capDrop: nonEmpty(flags['cap-drop']),
    privileged: flags.privileged,
    securityOpt: nonEmpty(flags['security-opt']),
    devices: nonEmpty(flags.device),
    resources: Object.keys(resources).length === 0 ? undefined : resources,
    ulimits: nonEmpty(flags.ulimit),
    shmSizeBytes: flags['shm-size'],
    sysctls: nonEmpty(flags.sysctl),
    groupAdd: nonEmpty(flags['group-add']),
    init: flags.init,
    labels: Object.keys(labels).length === 0 ? undefined : labels,
    annotations: Object.keys(annotations).length === 0 ? undefined : annotations,
    stopSignal: flags['stop-signal'],
    stopTimeoutSeconds: flags['stop-timeout'],
    log: logOf(flags),
    restart: restartOf(flags.restart),
    timeoutSeconds: flags.timeout,
    health: healthOf(flags),
    terminal: flags.tty,
    openStdin: flags.interactive,
    autoRemove: flags.rm,
    hostSecrets: flags['host-secrets'],
    pull: flags.pull as CreateOptions['pull'],
    registry:
      (flags.authfile ?? flags['cert-dir'] ?? flags['tls-verify']) === undefined
        ? undefined
        : registryAccess(caller, flags),
    platform: flags.platform,
  });
}

function nonEmpty<T>(list: readonly T[]): readonly T[] | undefined {
  return list.length === 0 ? undefined : list;
}

function sourceOf(
  flags: CreateFlagValues,
  positionals: readonly string[],
): { source: string; argv: readonly string[] } {
  const { rootfs, bundle } = flags;
  if (rootfs !== undefined && bundle !== undefined)
    throw new UsageError('Cannot use --rootfs and --bundle together: a container has one source');
  if (rootfs !== undefined) return { source: `rootfs:${rootfs}`, argv: positionals };
  if (bundle !== undefined) return { source: `bundle:${bundle}`, argv: positionals };
  const [source, ...argv] = positionals;
  if (source === undefined)
    throw new UsageError('Cannot create a container: an image, host:, --rootfs DIR or --bundle DIR is needed');
  return { source, argv };
}

/** As docker: one word; as podman: also a JSON list. Empty: no entrypoint. */
function entrypointOf(text: string): readonly string[] {
  if (text === '') return [];
  if (!text.startsWith('[')) return [text];
  let list: unknown;
  try {
    list = JSON.parse(text);
  } catch {
    return [text];
  }
  if (Array.isArray(list) && list.every((word) => typeof word === 'string')) return list;
  throw new UsageError(`Cannot use --entrypoint ${text}: expected a command or a JSON list of strings`);
}

function mountsOf(flags: CreateFlagValues, caller: Caller): MountRequest[] {
  const mounts = [
    ...flags.volume.map((text) => parseVolumeFlag(text, caller.cwd)),
    ...flags.mount.map((text) => parseMountFlag(text, caller.cwd)),
    ...flags.tmpfs.map(parseTmpfsFlag),
  ];
  const seen = new Set<string>();
  for (const { destination } of mounts) {
    if (seen.has(destination)) throw new UsageError(`Cannot mount ${destination}: two mounts want that place`);
    seen.add(destination);
  }
  return mounts;
}

function envOf(flags: CreateFlagValues, caller: Caller): string[] {
  const files = flags['env-file'].flatMap((path) =>
    readEnvFile('--env-file', path, resolve(caller.cwd, path), caller.env),
  );
  return [...files, ...flags.env.flatMap((text) => variable('--env', text, caller.env))];
}

function podOf(flags: CreateFlagValues, caller: Caller): string | undefined {
  const file = flags['pod-id-file'];
  if (file === undefined) return flags.pod;
  if (flags.pod !== undefined) throw new UsageError('Cannot use --pod and --pod-id-file together');
  return idInFile('--pod-id-file', file, caller.cwd);
}

/** The labels of `--label-file` and `--label`. Errors: UsageError. */
export function labelsOf(
  flags: { readonly 'label-file': readonly string[]; readonly label: readonly string[] },
  cwd: string,
): Record<string, string> {
  const labels: Record<string, string> = {};
  for (const text of [...flags['label-file'].flatMap((path) => labelFile(path, cwd)), ...flags.label]) {
    const equals = text.indexOf('=');
    const key = equals < 0 ? text : text.slice(0, equals);
    if (key === '') throw new UsageError(`Cannot use --label ${text}: a name must stand before the equals sign`);
    labels[key] = equals < 0 ? '' : text.slice(equals + 1);
  }
  return labels;
}

function labelFile(path: string, cwd: string): string[] {
  let text: string;
  try {
    text = readFileSync(resolve(cwd, path), 'utf8');
  } catch (cause) {
    throw new UsageError(`Cannot read --label-file ${path}: ${(cause as NodeJS.ErrnoException).code ?? 'unreadable'}`, {
      cause,
    });
  }
  return text
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '' && !line.startsWith('#'));
}

function resourcesOf(flags: CreateFlagValues): ResourceLimits {
  if (flags.cpus !== undefined && (flags['cpu-quota'] !== undefined || flags['cpu-period'] !== undefined)) {
    throw new UsageError('Cannot use --cpus with --cpu-quota or --cpu-period: both set the same limit');
  }
  return limitsGiven(flags);
}

function logOf(flags: CreateFlagValues): CreateOptions['log'] | undefined {
  const driver = flags['log-driver'];
  let maxSizeBytes: number | undefined;
  let maxFiles: number | undefined;
  let tag: string | undefined;
  for (const option of flags['log-opt']) {
    const [key, value] = keyValue('--log-opt', option);
    if (key === 'max-size') maxSizeBytes = value === '-1' ? undefined : parseSize('--log-opt max-size', value);
    else if (key === 'max-file') maxFiles = parseInteger('--log-opt max-file', value, 1);
    else if (key === 'tag') tag = value;
    else throw new UsageError(`Cannot use --log-opt ${option}: expected max-size=SIZE, max-file=N or tag=TEXT`);
  }
  if (driver === undefined && (maxSizeBytes ?? maxFiles ?? tag) === undefined) return undefined;
  return dropUndefined({
    driver: driver === 'json-file' ? ('k8s-file' as const) : (driver as LogDriver | undefined),
    tag,
    maxSizeBytes,
    maxFiles,
  });
}
