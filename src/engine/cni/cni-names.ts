import type { Engine } from '../engine.ts';

const PREFIX = 'cni:';

/** `cni:NAME` is a network of CNI plugins. */
export const isCniNetwork = (network: string): boolean => network.startsWith(PREFIX);

/** The name its configuration has. */
export const cniName = (network: string): string => network.slice(PREFIX.length);

/** As everybody else calls it. */
export const networkOfCni = (name: string): string => `${PREFIX}${name}`;

/** Names of the namespaces of containers that are in CNI networks: mounts. */
export const cniPinDir = (engine: Engine): string => `${engine.runRoot}/networks/netns`;

/** What containers have of CNI networks: kept over a reboot, as addresses that plugins gave are. */
export const cniStateDir = (engine: Engine): string => `${engine.root}/cni`;
