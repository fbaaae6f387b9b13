import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { TareError } from '../base/errors.ts';
import { attach } from '../network/attach.ts';
import type { Attachment } from '../network/attachment.ts';
import type { NamespaceType, RuntimeConfig } from '../spec/runtime-config.ts';
import type { Fd } from '../sys/fd.ts';
import { networkNamespace } from '../sys/network-namespace.ts';
import { userNamespaceFd } from '../sys/user-namespace.ts';
import { isCniNetwork } from './cni/cni-names.ts';
import { openInit } from './init-process.ts';
import { actorMembers, containerActor } from './emit.ts';
import type { Engine } from './engine.ts';
import { shortId } from './ids.ts';
import { leaveNetworks } from './leave-networks.ts';
import { writeNetworkFiles } from './network-files.ts';
import { nameHere } from './name-here.ts';
import { hostNamesOf, namelessWarnings, namesOf } from './network-names.ts';
import { openGround } from './network-ground.ts';
import { openReadOnly } from './open-read-only.ts';
import { type ContainerRecord, containerDir } from './record.ts';

/** A container's network namespace, made or found before its monitor gets its Plan. Disposing lets go of our descriptor of it. */
export interface JoinedNetworks extends Disposable {
  readonly warnings: readonly string[];
  /** Its networks and ports on the machine are there as long as somebody has these descriptors. */
  readonly held: readonly Fd[];
  /** The configuration with that namespace in it, and with the user namespace that owns it. */
  inside(config: RuntimeConfig): RuntimeConfig;
  /** Takes everything back: it could not start. */
  leave(): Promise<void>;
}

/**
 * Makes a network namespace, puts it into the container's networks, and writes the files about names. The namespace is there as long as a descriptor or a process of it, so nothing of it outlives a
 * container; a monitor that may start its container again keeps it. Where the configuration asks for a user namespace, that is made first, and owns it: the container's root may do in its network what root may.
 *
 * Errors: as `attach`; failed-precondition when the container whose namespace it is to share does not run.
 */
export async function joinNetworks(
  engine: Engine,
  record: ContainerRecord,
  config: RuntimeConfig,
): Promise<JoinedNetworks> {
  const { net = { join: [], ports: [] } } = record;
  if (net.join.length === 0 && net.pasta === undefined) return shared(engine, record, net.of ?? '');
  using stack = new DisposableStack();
  const made = ownNamespaces(stack, config);
  if (net.pasta !== undefined) return await alone(engine, record, stack.move(), made);
  const { netns } = made;
  const ground = stack.use(await openGround(engine, 'join'));
  const held = [...ground.held];
  const ours = net.join.filter(({ network }) => !isCniNetwork(network));
  const plugged = ours.length < net.join.length;
  let attachment: Attachment = { version: 1, networkIds: [], networks: [], ports: [] };
  let nameless: string[] = [];
  if (ours.length > 0) {
    // Links have the numbers of their places in the whole list.
    const wishes = plugged ? ours.map((wish) => ({ interface: `eth${net.join.indexOf(wish)}`, ...wish })) : ours;
    const attached = await attach(ground.places, record.id, netns, wishes, net.ports, {
      keep: (fd) => {
        held.push(stack.use(fd));
      },
      names: namesOf(engine, record),
      ...(net.egress === undefined ? {} : { egress: net.egress, actor: actorMembers(containerActor(record)) }),
      ...(record.names?.dns === undefined ? {} : { servers: record.names.dns }),
    });
    attachment = attached;
    nameless = namelessWarnings(attached);
  }
  const leave = (): Promise<void> => leaveNetworks(engine, record.id, false);
  let warnings: string[];
  try {
    let options = record.names ?? {};
    if (plugged) {
      const { joinCni, namesOfCni } = await import('./cni/join-cni.ts');
      const kept = await joinCni(engine, record, netns, ours.length === 0);
      if (kept !== undefined) held.push(stack.use(kept));
      ({ attachment, options } = namesOfCni(engine, record, attachment));
    }
    const names = hostNamesOf(engine, record);
    const machine = ground.machine === undefined ? {} : { machine: ground.machine };
    const said = writeNetworkFiles(containerDir(engine, record.id), names, attachment, { ...options, ...machine });
    warnings = [...ground.warnings, ...nameless, ...said];
  } catch (error) {
    await leave();
    throw error;
  }
  return joined(stack.move(), made, warnings, leave, held);
}

interface MadeNamespaces {
  readonly netns: Fd;
  readonly userns?: Fd;
}

function ownNamespaces(stack: DisposableStack, { linux }: RuntimeConfig): MadeNamespaces {
  const { namespaces, uidMappings, gidMappings } = linux ?? {};
  const isAsked = namespaces?.some(({ type, path }) => type === 'user' && path === undefined) === true;
  if (!isAsked || uidMappings === undefined || gidMappings === undefined)
    return { netns: stack.use(networkNamespace()) };
  const userns = stack.use(userNamespaceFd({ uidMappings, gidMappings }));
  return { netns: stack.use(networkNamespace(userns)), userns };
}

function joined(
  kept: DisposableStack,
  { netns, userns }: MadeNamespaces,
  warnings: readonly string[],
  leave: () => Promise<void>,
  held: readonly Fd[] = [],
): JoinedNetworks {
  return {
    warnings,
    held,
    inside: (config) =>
      inNamespaces(config, {
        network: `/proc/self/fd/${netns.number}`,
        ...(userns === undefined ? {} : { user: `/proc/self/fd/${userns.number}` }),
      }),
    leave,
    [Symbol.dispose]: () => kept.dispose(),
  };
}

/** The configuration with some of its namespaces found at these paths. */
export function inNamespaces(
  config: RuntimeConfig,
  paths: Readonly<Partial<Record<NamespaceType, string>>>,
): RuntimeConfig {
  const namespaces =
    config.linux?.namespaces?.map((one) => {
      const path = paths[one.type];
      return path === undefined ? one : { ...one, path };
    }) ?? [];
  return { ...config, linux: { ...config.linux, namespaces } };
}

/** With a pasta of its own. */
async function alone(
  engine: Engine,
  record: ContainerRecord,
  kept: DisposableStack,
  made: MadeNamespaces,
): Promise<JoinedNetworks> {
  using stack = kept;
  const { joinPasta } = await import('./join-pasta.ts');
  const held = stack.use(await joinPasta(engine, record, made.netns));
  const names = hostNamesOf(engine, record);
  const warnings = writeNetworkFiles(containerDir(engine, record.id), names, undefined, record.names ?? {});
  return joined(stack.move(), made, warnings, async () => {}, [held]);
}

/** Somebody else's: nothing is made, and nothing taken back. */
function shared(engine: Engine, record: ContainerRecord, of: string): JoinedNetworks {
  using stack = new DisposableStack();
  const dir = containerDir(engine, record.id);
  let netns: Fd;
  let warnings: string[] = [];
  if (record.network === 'ns') {
    netns = stack.use(openReadOnly(of, `use --network ns:${of}`));
    warnings = writeNetworkFiles(dir, hostNamesOf(engine, record), undefined, record.names ?? {});
  } else {
    using init = openInit(engine, of);
    if (init === undefined)
      throw new TareError(
        'failed-precondition',
        `Cannot start container ${record.name}: container ${shortId(of)}, whose network it shares, does not run`,
      );
    netns = stack.use(openReadOnly(`/proc/${init.pid}/ns/net`, `use the network of container ${shortId(of)}`));
    // The number may be another process's by now: the one that was opened is not, if ours still lives.
    using again = openInit(engine, of);
    if (again?.pid !== init.pid)
      throw new TareError(
        'failed-precondition',
        `Cannot start container ${record.name}: container ${shortId(of)} ended`,
      );
    for (const name of ['hosts', 'resolv.conf']) copyOf(containerDir(engine, of), dir, name);
    nameHere([join(dir, 'hosts'), join(containerDir(engine, of), 'hosts')], [record.name]);
  }
  return joined(stack.move(), { netns }, warnings, async () => {});
}

function copyOf(from: string, to: string, name: string): void {
  let text = '';
  try {
    text = readFileSync(join(from, name), 'utf8');
  } catch {
    // It has none: loopback needs no nameserver.
  }
  writeFileSync(join(to, name), text);
}
