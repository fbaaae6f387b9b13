import { appendFileSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Attached } from '../network/attach.ts';
import type { Attachment } from '../network/attachment.ts';
import { renameAttached, reviveNames } from '../network/names.ts';
import { actorMembers, containerActor } from './emit.ts';
import type { Engine } from './engine.ts';
import { holdsNetworks } from './holds-networks.ts';
import { shortId } from './ids.ts';
import { namesHere } from './name-here.ts';
import { hostsText, nameserverOf, resolvText, writeNetworkFiles } from './network-files.ts';
import { type Ground, openGround } from './network-ground.ts';
import { type ContainerRecord, containerDir } from './record.ts';

/** What a container calls itself. */
export function hostnameOf(engine: Engine, record: ContainerRecord): string {
  try {
    return readFileSync(join(containerDir(engine, record.id), 'hostname'), 'utf8').trim();
  } catch {
    return shortId(record.id);
  }
}

/** What others in its networks call it, its name first. */
export const namesOf = (engine: Engine, record: ContainerRecord): string[] => [
  ...new Set([record.name, shortId(record.id), hostnameOf(engine, record)]),
];

/** What it finds of itself in /etc/hosts. */
export const hostNamesOf = (engine: Engine, record: ContainerRecord): string[] => [
  ...new Set([hostnameOf(engine, record), record.name]),
];

/** The warnings about networks in which names are not resolved. */
export const namelessWarnings = ({ nameless }: Pick<Attached, 'nameless'>): string[] =>
  [...nameless].map(
    ([network, why]) =>
      `names of containers are not resolved in network ${network}: ${why.replace(/^Cannot /, 'cannot ')}; port 53 of its gateway has to be free`,
  );

/** The container has another name: whoever asks for it in its networks is told so. Nothing happens to one that is in none. */
export async function renameInNetworks(engine: Engine, record: ContainerRecord): Promise<void> {
  if (!holdsNetworks(engine, record.id)) return;
  using ground = await openGround(engine, 'look');
  const actor = record.net?.egress === undefined ? undefined : actorMembers(containerActor(record));
  await renameAttached(ground.places, record.id, namesOf(engine, record), actor);
}

/** Brings back the resolver, which was killed. */
export async function reviveResolver(engine: Engine): Promise<void> {
  try {
    using ground = await openGround(engine, 'look');
    await reviveNames(ground.places);
  } catch {
    // Whoever lists containers is not told: whoever starts one is.
  }
}

/** A running container is in other networks than `before`: writes its files about names anew, unless it changed them itself. */
export function updateNetworkFiles(
  engine: Engine,
  record: ContainerRecord,
  before: Attachment | undefined,
  after: Attached,
  { machine }: Pick<Ground, 'machine'>,
): void {
  const dir = containerDir(engine, record.id);
  const options = { ...record.names, ...(machine === undefined ? {} : { machine }) };
  const names = hostNamesOf(engine, record);
  const textOf = (name: string): string => readFileSync(join(dir, name), 'utf8');
  const [hosts, resolv] = [textOf('hosts'), textOf('resolv.conf')];
  // Of who shares its networks.
  const neighbours = namesHere(hosts);
  const hostsAreOurs = hosts === `${hostsText(names, before, options)}${neighbours}`;
  const resolvIsOurs = [
    resolvText(options).text,
    resolvText(options, before === undefined ? undefined : nameserverOf(before)).text,
  ].includes(resolv);
  writeNetworkFiles(dir, names, after, options);
  if (!hostsAreOurs) writeFileSync(join(dir, 'hosts'), hosts);
  else if (neighbours !== '') appendFileSync(join(dir, 'hosts'), neighbours);
  if (!resolvIsOurs) writeFileSync(join(dir, 'resolv.conf'), resolv);
}
