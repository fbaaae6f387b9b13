import type { FlagTable } from './flag-table.ts';

/** The flags of whoever stays connected to a container. */
export const attachFlags = {
  'sig-proxy': { type: 'switch', standard: 'true', help: 'Forward signals to the container' },
  'detach-keys': {
    type: 'text',
    value: 'KEYS',
    standard: 'ctrl-p,ctrl-q',
    help: 'Keys that leave the container running; empty: none',
  },
} as const satisfies FlagTable;
