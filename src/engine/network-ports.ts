import { TareError } from '../base/errors.ts';
import type { PortWish } from '../network/attach.ts';
import type { NetworkRequest } from './network-request.ts';
import { parseExposed, type PublishRequest } from './publish-request.ts';
import type { RecordedNetwork } from './record.ts';

/**
 * What a container's record says of networks: ports without a number on the machine get one that is free now, so that they stay the same from start to start.
 *
 * Errors: invalid for two that want the same; exhausted.
 */
export async function recordedNetwork(request: NetworkRequest, exposed: readonly string[]): Promise<RecordedNetwork> {
  const all = [
    ...request.publish,
    ...(request.publishAll
      ? exposed
          .flatMap(parseExposed)
          .filter(
            ({ port, protocol }) => !request.publish.some((one) => one.port === port && one.protocol === protocol),
          )
      : []),
  ];
  const taken = new Set<string>();
  const ports: PortWish[] = [];
  for (const port of all) {
    const wish = { ...port, hostPort: port.hostPort ?? (await newPort(port, taken)) };
    const key = keyOf(wish);
    if (taken.has(key)) throw new TareError('invalid', `Cannot publish port ${key}: it is asked for twice`);
    taken.add(key);
    ports.push(wish);
  }
  const { join, of, pasta, egress } = request;
  return {
    join,
    ports,
    ...(of === undefined ? {} : { of }),
    ...(pasta === undefined ? {} : { pasta }),
    ...(egress === undefined ? {} : { egress }),
  };
}

const keyOf = ({ hostAddress = '', hostPort, protocol }: PortWish): string =>
  `${hostAddress}${hostAddress === '' ? '' : ':'}${hostPort}/${protocol}`;

const TRIES = 20;

async function newPort(port: PublishRequest, taken: ReadonlySet<string>): Promise<number> {
  const { freePort } = await import('./free-port.ts');
  for (let attempt = 0; attempt < TRIES; attempt++) {
    const hostPort = await freePort(port);
    if (!taken.has(keyOf({ ...port, hostPort }))) return hostPort;
  }
  throw new TareError('exhausted', `Cannot publish port ${port.port}: no port of the machine is free`);
}
