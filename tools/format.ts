/** `npm run format`: oxfmt and clang-format, in place. */
import { dirname, join } from 'node:path';
import { hasClangFormat, nativeSources } from './check-native.ts';
import { runProgram } from './_problem.ts';

const root = dirname(import.meta.dirname);
const commands = [[join(root, 'node_modules/.bin/oxfmt'), '.']];
const native = nativeSources(root);
if (hasClangFormat()) commands.push(['clang-format', '-i', ...native]);
else if (native.length > 0) process.stdout.write('C is left as it is: apt-get install clang-format\n');
for (const command of commands) {
  const { code, output } = await runProgram(command, { cwd: root });
  process.stdout.write(output);
  if (code !== 0) process.exitCode = 1;
}
