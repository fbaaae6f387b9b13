import type { SecretRequest } from '../engine/create-options.ts';
import { UsageError } from './usage-error.ts';

/** Parses `--secret NAME[,type=mount|env,target=,uid=,gid=,mode=]`; `source=NAME` as docker has it. Errors: UsageError. */
export function parseSecretFlag(text: string): SecretRequest {
  const bad = (why: string): UsageError => new UsageError(`Cannot use --secret ${text}: ${why}`);
  const number = (key: string, value: string, base: 8 | 10): number => {
    const digits = base === 8 ? /^0?[0-7]{1,4}$/ : /^\d{1,10}$/;
    if (!digits.test(value)) throw bad(`${key} must be ${base === 8 ? 'octal, like 0400' : 'a number'}`);
    return Number.parseInt(value, base);
  };
  let source: string | undefined;
  const request: { -readonly [Key in keyof Omit<SecretRequest, 'source'>]: SecretRequest[Key] } = {};
  for (const [index, field] of text.split(',').entries()) {
    const at = field.indexOf('=');
    const [key, value] = at < 0 ? [field, ''] : [field.slice(0, at), field.slice(at + 1)];
    if (at < 0 && index === 0) source = field;
    else if (key === 'source' || key === 'src') source = value;
    else if (key === 'type' && (value === 'mount' || value === 'env')) request.type = value;
    else if (key === 'type') throw bad('type must be mount or env');
    else if (key === 'target' || key === 'dst' || key === 'destination') request.target = value;
    else if (key === 'uid') request.uid = number(key, value, 10);
    else if (key === 'gid') request.gid = number(key, value, 10);
    else if (key === 'mode') request.mode = number(key, value, 8);
    else throw bad(`unknown option ${key}`);
  }
  if (source === undefined || source === '') throw bad('it names no secret');
  if (request.type === 'env' && (request.uid ?? request.gid ?? request.mode) !== undefined)
    throw bad('a variable has no owner and no mode');
  return { source, ...request };
}
