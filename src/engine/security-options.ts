import { readFileSync } from 'node:fs';
import { TareError } from '../base/errors.ts';

/** What `--security-opt` decides. */
export interface SecurityOptions {
  readonly noNewPrivileges: boolean;
  readonly seccomp:
    | { readonly kind: 'default' }
    | { readonly kind: 'unconfined' }
    | { readonly kind: 'file'; readonly json: unknown };
}

const PROFILE_MAX_BYTES = 4 * 1024 * 1024;

/**
 * Parses `seccomp=unconfined|FILE`, `no-new-privileges[:true|false]` (also with "="), and accepts `label=…` and `apparmor=unconfined`, which change nothing
 * where neither module is used. Errors: invalid, not-found profile.
 */
export function parseSecurityOptions(options: readonly string[], privileged: boolean): SecurityOptions {
  let noNewPrivileges = false;
  let seccomp: SecurityOptions['seccomp'] = privileged ? { kind: 'unconfined' } : { kind: 'default' };
  for (const option of options) {
    const match = /^([a-z-]+)(?:[=:](.*))?$/s.exec(option);
    const value = match?.[2];
    switch (match?.[1]) {
      case 'no-new-privileges':
        if (value !== undefined && value !== 'true' && value !== 'false')
          throw invalid(option, 'expected true or false');
        noNewPrivileges = value !== 'false';
        break;
      case 'seccomp':
        if (value === undefined || value === '') throw invalid(option, 'expected seccomp=unconfined or seccomp=FILE');
        seccomp = value === 'unconfined' ? { kind: 'unconfined' } : { kind: 'file', json: readProfile(value) };
        break;
      case 'label':
        break;
      case 'apparmor':
        if (value !== 'unconfined') throw invalid(option, 'AppArmor profiles are not supported yet');
        break;
      default:
        throw invalid(option, 'known are seccomp, no-new-privileges, label and apparmor');
    }
  }
  return { noNewPrivileges, seccomp };
}

function invalid(option: string, why: string): TareError {
  return new TareError('invalid', `Cannot use --security-opt ${option}: ${why}`);
}

function readProfile(path: string): unknown {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (cause) {
    throw new TareError('not-found', `Cannot use seccomp profile ${path}: it cannot be read`, { cause });
  }
  if (text.length > PROFILE_MAX_BYTES)
    throw new TareError('invalid', `Cannot use seccomp profile ${path}: larger than ${PROFILE_MAX_BYTES} bytes`);
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new TareError('invalid', `Cannot use seccomp profile ${path}: not JSON`, { cause });
  }
}
