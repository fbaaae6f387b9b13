import { defaultPath } from '../runtime/default-paths.ts';
import { parseImageConfig } from '../spec/image-config.ts';
import type { ProcessDocument } from '../spec/image-change.ts';
import type { RuntimeConfig } from '../spec/runtime-config.ts';
import { parseSignal, signalName } from '../spec/signals.ts';
import type { Fd } from '../sys/fd.ts';
import type { ContainerRecord } from './record.ts';
import { resolveUser } from './users.ts';

/**
 * The `config` object of an image made from a container: the image's own, with what the container's user said otherwise. What the engine itself gave the container is left out.
 * `rootfs`: where users are looked up.
 */
export function committedProcess(
  base: Uint8Array | undefined,
  record: ContainerRecord,
  config: RuntimeConfig,
  rootfs: Fd,
): ProcessDocument {
  const document = base === undefined ? {} : (JSON.parse(Buffer.from(base).toString()) as { config?: unknown });
  const known = (document.config ?? {}) as ProcessDocument;
  const image = base === undefined ? undefined : parseImageConfig(base).process;
  const process = config.process;
  if (process === undefined) return known;
  const env = userEnvironment(image?.env ?? [], process.env ?? [], record, config, homeOf(rootfs, process.user));
  const user = userOf(rootfs, typeof known['User'] === 'string' ? known['User'] : '', process.user);
  return {
    ...known,
    ...(env.length === 0 ? {} : { Env: env }),
    ...commandOf(image, process.args ?? []),
    ...(process.cwd === '/' && image?.workingDir === undefined ? {} : { WorkingDir: process.cwd }),
    ...(user === '' ? {} : { User: user }),
    ...(Object.keys(record.labels).length === 0 ? {} : { Labels: record.labels }),
    ...(record.stopSignal === parseSignal(image?.stopSignal ?? 'TERM')
      ? {}
      : { StopSignal: signalName(record.stopSignal) }),
  };
}

/** The image's own variables in their order, then the user's. */
function userEnvironment(
  image: readonly string[],
  env: readonly string[],
  record: ContainerRecord,
  config: RuntimeConfig,
  home: string,
): string[] {
  const nameOf = (entry: string): string => entry.slice(0, entry.indexOf('='));
  const values = new Map(env.map((entry) => [nameOf(entry), entry]));
  const names = image.map(nameOf);
  const given = new Set([
    `PATH=${defaultPath}`,
    `HOSTNAME=${config.hostname ?? ''}`,
    'container=tare',
    `HOME=${home}`,
    ...(record.terminal ? ['TERM=xterm'] : []),
  ]);
  const added = env.filter((entry) => !names.includes(nameOf(entry)) && !given.has(entry));
  return [...names.map((name, index) => values.get(name) ?? image[index] ?? ''), ...added];
}

/** How the command line was put together is not known: the image's entrypoint is, when it begins with it. */
function commandOf(
  image: { readonly entrypoint?: readonly string[]; readonly cmd?: readonly string[] } | undefined,
  args: readonly string[],
): ProcessDocument {
  const entrypoint = image?.entrypoint ?? [];
  if (entrypoint.every((word, index) => word === args[index])) {
    const cmd = args.slice(entrypoint.length);
    return cmd.length === 0 ? {} : { Cmd: cmd };
  }
  return { Entrypoint: null, Cmd: args };
}

interface Ids {
  readonly uid: number;
  readonly gid: number;
}

function userOf(rootfs: Fd, known: string, { uid, gid }: Ids): string {
  const before = lookUp(rootfs, known);
  if (before?.uid === uid && before.gid === gid) return known;
  return lookUp(rootfs, String(uid))?.gid === gid ? String(uid) : `${uid}:${gid}`;
}

function homeOf(rootfs: Fd, { uid }: Ids): string {
  return lookUp(rootfs, String(uid))?.home ?? '/';
}

/** Undefined for a name that is no longer there, or files that cannot be read. */
function lookUp(rootfs: Fd, user: string): ReturnType<typeof resolveUser> | undefined {
  try {
    return resolveUser(rootfs, user);
  } catch {
    return undefined;
  }
}
