/** What the bundle's first file exports. It holds nothing itself: what is kept in the code cache has its contents in its name, and a first file has not. */
export { leave, runCommandLine } from './cli.ts';
