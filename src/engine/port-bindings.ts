import type { RecordedNetwork } from './record.ts';

/** What was asked for of ports, in docker's shape: `80/tcp` to places on the machine. */
export function portBindings(net: RecordedNetwork | undefined): Record<string, { HostIp: string; HostPort: string }[]> {
  const map: Record<string, { HostIp: string; HostPort: string }[]> = {};
  for (const { port, protocol, hostAddress = '', hostPort } of net?.ports ?? [])
    (map[`${port}/${protocol}`] ??= []).push({ HostIp: hostAddress, HostPort: String(hostPort) });
  return map;
}
