import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { createServer } from 'node:net';
import type { PublishRequest } from './publish-request.ts';

/** A port of the machine that nobody listens on, as the kernel chooses them. Somebody else may take it a moment later. */
export async function freePort({
  protocol,
  hostAddress,
}: Pick<PublishRequest, 'protocol' | 'hostAddress'>): Promise<number> {
  if (protocol === 'udp') {
    const socket = createSocket(hostAddress?.includes(':') === true ? 'udp6' : 'udp4');
    socket.bind({ port: 0, ...(hostAddress === undefined ? {} : { address: hostAddress }) });
    await once(socket, 'listening');
    const { port } = socket.address();
    socket.close();
    return port;
  }
  const server = createServer();
  server.listen({ port: 0, host: hostAddress ?? '0.0.0.0' });
  await once(server, 'listening');
  const address = server.address();
  server.close();
  return typeof address === 'object' && address !== null ? address.port : 0;
}
