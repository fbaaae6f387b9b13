import type { FlagTable } from './flag-table.ts';

/** How long something may take to end by itself. `standard` says whose time it is otherwise. */
export const stopTime = <const S extends string>(standard: S) =>
  ({
    time: {
      type: 'seconds',
      short: 't',
      alias: 'timeout',
      minusOne: true,
      help: `Seconds until SIGKILL (default: ${standard}); -1: never`,
    },
  }) as const satisfies FlagTable;

/** The same as the engine takes it. */
export const timeoutOf = ({ time }: { readonly time?: number | undefined }): { readonly timeoutSeconds?: number } =>
  time === undefined ? {} : { timeoutSeconds: time };
