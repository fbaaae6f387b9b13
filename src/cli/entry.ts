import { exitNow } from '../sys/process.ts';
import { runCommandLine } from './cli.ts';

/**
 * What main.ts loads: the bundle's first file. It holds nothing else, because a first file has a fixed name, and only one whose name says its contents is kept in
 * the code cache.
 */
export const commandLine = { run: runCommandLine, leave: exitNow } as const;
