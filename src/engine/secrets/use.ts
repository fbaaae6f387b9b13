import { posix } from 'node:path';
import { TareError } from '../../base/errors.ts';
import type { Engine } from '../engine.ts';
import type { SecretRequest } from '../create-options.ts';
import { findSecret } from './store.ts';

/** A secret as one container uses it: recorded with the container, without its value. */
export interface SecretUse {
  readonly name: string;
  readonly id: string;
  readonly type: 'mount' | 'env';
  /** Absolute path of the file, or the name of the variable. */
  readonly target: string;
  readonly uid: number;
  readonly gid: number;
  readonly mode: number;
}

/** Where files of secrets are unless told otherwise. */
const SECRETS = '/run/secrets';

/** Which secrets a new container uses, and how. Errors: not-found; invalid for a bad target, or two that want the same. */
export function secretUses(
  engine: Engine,
  requests: readonly SecretRequest[],
  taken: ReadonlySet<string>,
): readonly SecretUse[] {
  const targets = new Set(taken);
  return requests.map((request) => {
    const { name, id } = findSecret(engine, request.source, 'use');
    const type = request.type ?? 'mount';
    const target = type === 'env' ? variableOf(request.target ?? name) : fileOf(request.target ?? name);
    if (targets.has(target)) throw new TareError('invalid', `Cannot use secret ${name}: ${target} is taken`);
    targets.add(target);
    return { name, id, type, target, uid: request.uid ?? 0, gid: request.gid ?? 0, mode: request.mode ?? 0o444 };
  });
}

function variableOf(name: string): string {
  if (name === '' || /[=\0]/.test(name))
    throw new TareError('invalid', `Cannot use ${JSON.stringify(name)} for a secret: it is no name of a variable`);
  return name;
}

function fileOf(target: string): string {
  const path = posix.normalize(posix.resolve(SECRETS, target));
  const isOutside = !target.startsWith('/') && !path.startsWith(`${SECRETS}/`);
  if (target === '' || target.endsWith('/') || target.includes('\0') || path === '/' || isOutside)
    throw new TareError('invalid', `Cannot use ${JSON.stringify(target)} for a secret: it is no path of a file`);
  return path;
}
