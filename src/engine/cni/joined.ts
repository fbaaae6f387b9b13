import { attachmentsOf, type CniAttachment, resultOf } from '../../network/cni/attachments.ts';
import type { CniDns } from '../../network/cni/result.ts';
import type { Joined, Published } from '../../network/attachment.ts';
import type { Engine } from '../engine.ts';
import type { ContainerRecord } from '../record.ts';
import { cniStateDir, networkOfCni } from './cni-names.ts';

/** What a container has of CNI networks now, as one of ours has it. */
export interface CniJoined {
  readonly networks: readonly Joined[];
  readonly ports: readonly Published[];
  readonly dns: readonly CniDns[];
}

/** Reads it; nothing of one that is only on its way in. Errors: of records that cannot be read. */
export function cniJoined(engine: Engine, record: ContainerRecord): CniJoined {
  const all = attachmentsOf(cniStateDir(engine), record.id);
  const networks = all.flatMap((one) => joinedOf(one, record));
  return {
    networks,
    ports: all.flatMap((one) => portsOf(one, record)),
    dns: all.flatMap((one) => resultOf(one)?.dns ?? []),
  };
}

function joinedOf(attachment: CniAttachment, record: ContainerRecord): Joined[] {
  const result = resultOf(attachment);
  if (result === undefined) return [];
  const network = networkOfCni(attachment.network);
  const at = result.interfaces.findIndex(({ name, sandbox }) => name === attachment.ifname && sandbox !== undefined);
  const wish = record.net?.join.find((one) => one.network === network);
  return [
    {
      network,
      networkId: '',
      interface: attachment.ifname,
      hostLink: '',
      bridge: '',
      mac: result.interfaces[at]?.mac ?? '',
      addresses: result.ips
        .filter((ip) => ip.interface === undefined || ip.interface === at)
        .map(({ address, gateway = '' }) => {
          const [ip = '', prefix] = address.split('/');
          return { address: ip, prefix: Number(prefix), gateway };
        }),
      aliases: wish?.aliases ?? [],
      internal: false,
    },
  ];
}

/** Those that were given to a plugin which makes them. */
function portsOf(attachment: CniAttachment, record: ContainerRecord): Published[] {
  if (attachment.result === undefined || attachment.capabilityArgs['portMappings'] === undefined) return [];
  const [joined] = joinedOf(attachment, record);
  return (record.net?.ports ?? []).flatMap(({ protocol, hostAddress, hostPort, port }) =>
    (joined?.addresses ?? [])
      .filter(({ address }) => hostAddress === undefined || address.includes(':') === hostAddress.includes(':'))
      .map(({ address }) => ({
        protocol,
        ...(hostAddress === undefined ? {} : { hostAddress }),
        hostPort,
        address,
        port,
      })),
  );
}
