import { existsSync } from 'node:fs';
import { runProgram } from './_problem.ts';

/**
 * Makes sure Debian packages are installed: as root by apt-get, otherwise (or on another distribution) it says what to type and goes on;
 * the tests that need them skip themselves.
 */
export async function ensurePackages(
  packages: readonly string[],
  cwd: string,
  say: (line: string) => void,
): Promise<void> {
  if (packages.length === 0) return;
  if (!existsSync('/usr/bin/dpkg-query')) {
    say(`not a Debian system: tests need the programs of the Debian packages ${packages.join(' ')}`);
    return;
  }
  const { output } = await runProgram(['dpkg-query', '-W', '-f', '${Package} ${db:Status-Abbrev}\n', ...packages], {
    cwd,
  });
  const installed = new Set(output.split('\n').map((line) => /^(\S+) ii/.exec(line)?.[1]));
  const missing = packages.filter((name) => !installed.has(name));
  if (missing.length === 0) return;
  const command = ['apt-get', 'install', '-y', '-q', '--no-install-recommends', ...missing];
  if (process.getuid?.() !== 0) {
    say(`some tests will be skipped; to run them: sudo ${command.join(' ')}`);
    return;
  }
  say(`installing ${missing.join(' ')}`);
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' };
  let result = await runProgram(command, { cwd, env });
  if (result.code !== 0) {
    await runProgram(['apt-get', 'update', '-q'], { cwd, env });
    result = await runProgram(command, { cwd, env });
  }
  if (result.code !== 0)
    say(
      `cannot install them, tests that need them will be skipped: ${result.output.trim().split('\n').slice(-3).join(' ')}`,
    );
}
