import { TareError } from '../base/errors.ts';
import type { Rlimit } from './runtime-types.ts';

/** Resource names without the prefix; the index is the kernel's number on x86-64 and arm64 (include/uapi/asm-generic/resource.h). */
const names =
  'CPU FSIZE DATA STACK CORE RSS NPROC NOFILE MEMLOCK AS LOCKS SIGPENDING MSGQUEUE NICE RTPRIO RTTIME'.split(' ');

/** RLIM_INFINITY. */
export const RLIMIT_UNLIMITED = 0xffffffffffffffffn;

/** The kernel's number of "RLIMIT_NOFILE"; undefined for a name that is none. */
export function rlimitNumber(type: string): number | undefined {
  const index = type.startsWith('RLIMIT_') ? names.indexOf(type.slice(7)) : -1;
  return index < 0 ? undefined : index;
}

/** A limit as the kernel takes it: numbers a double cannot tell from 2^64-1 are unlimited. */
export function rlimitValue(value: number): bigint {
  return value >= 2 ** 64 - 2048 ? RLIMIT_UNLIMITED : BigInt(value);
}

/**
 * Parses Docker's `--ulimit`: "nofile=1024:2048", "nproc=100" (both limits), "core=-1" or "core=unlimited".
 *
 * Errors: `invalid` for an unknown name, a bad number, or a soft limit above the hard one.
 */
export function parseUlimit(text: string): Rlimit {
  const fail = (state: string): TareError =>
    new TareError('invalid', `Cannot use ulimit ${JSON.stringify(text.slice(0, 80))}: ${state}`);
  const match = /^([a-z]+)=([^:]+)(?::([^:]+))?$/i.exec(text);
  const name = match?.[1];
  const first = match?.[2];
  if (name === undefined || first === undefined) throw fail('it must look like name=soft[:hard]');
  const type = `RLIMIT_${name.toUpperCase()}`;
  if (rlimitNumber(type) === undefined) throw fail(`there is no limit ${name}`);
  const number = (part: string): number => {
    if (part === '-1' || part === 'unlimited') return Number(RLIMIT_UNLIMITED);
    if (!/^[0-9]{1,20}$/.test(part) || BigInt(part) > RLIMIT_UNLIMITED) throw fail(`${part} is no limit`);
    return Number(part);
  };
  const soft = number(first);
  const hard = match?.[3] === undefined ? soft : number(match[3]);
  if (soft > hard) throw fail('its soft limit is above its hard limit');
  return { type, soft, hard };
}
