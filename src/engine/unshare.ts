import { accessSync, constants, statSync } from 'node:fs';
import { TareError } from '../base/errors.ts';
import { execCandidates } from '../runtime/compile/process.ts';
import { becomeProgram } from '../sys/process.ts';
import { LaunchError } from './launch-error.ts';
import { rootlessUser } from './rootless.ts';

type Env = Readonly<Record<string, string | undefined>>;

/** The launcher's prefix for variables that would change what Node runs: they are the user's programs' again. */
const HIDDEN = 'TARE_HIDDEN_';

/**
 * Becomes a program in the namespace of an unprivileged user, where this process is: root there, in reach of the containers' files. Without `argv` it is the
 * user's shell. Does not return.
 *
 * Errors: failed-precondition for the machine's root, who has no such namespace; LaunchError (126, 127) for a program that cannot be executed.
 */
export function unshare(argv: readonly string[], env: Env, uid: number): never {
  if (rootlessUser(env, uid) === undefined) {
    throw new TareError(
      'failed-precondition',
      'Cannot enter a user namespace: root needs none; run the command itself, or tare unshare as another user',
    );
  }
  const variables = Object.fromEntries(
    Object.entries(env).flatMap(([name, value]) =>
      value === undefined ? [] : [[name.startsWith(HIDDEN) ? name.slice(HIDDEN.length) : name, value]],
    ),
  );
  const [command = env['SHELL'] || '/bin/sh', ...args] = argv;
  becomeProgram(findProgram(command, variables), [command, ...args], variables);
}

function findProgram(command: string, env: Readonly<Record<string, string>>): string {
  const candidates = execCandidates(
    command,
    Object.entries(env).map(([name, value]) => `${name}=${value}`),
  );
  const found = candidates.filter(isFile);
  const executable = found.find(isExecutable);
  if (executable !== undefined) return executable;
  if (found.length > 0)
    throw new LaunchError('denied', `Cannot run ${command}: ${found[0] ?? command} is not executable`, 126, undefined);
  throw new LaunchError('not-found', `Cannot run ${command}: no such program`, 127, undefined);
}

function isFile(path: string): boolean {
  try {
    return statSync(path).isFile();
  } catch {
    return false;
  }
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
