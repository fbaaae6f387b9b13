/** Boots the virtual machine and runs one command in it: `tools/node tools/vm/main.ts COMMAND ARG…`. */
import { Machine } from './machine.ts';

const say = (line: string): void => console.error(`vm: ${line}`);
const began = performance.now();
const since = (): string => `${((performance.now() - began) / 1000).toFixed(1)} s`;
const argv = process.argv.slice(2);
await using machine = await Machine.create(say);
say(`made after ${since()}`);
await machine.boot();
say(`booted after ${since()}`);
const { code, stdout, stderr } = await machine.run(argv.length === 0 ? ['uname', '-a'] : argv, { timeoutMs: 600_000 });
process.stdout.write(stdout);
process.stderr.write(stderr);
say(`done after ${since()}`);
process.exitCode = code ?? 1;
