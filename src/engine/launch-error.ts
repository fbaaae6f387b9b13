import { TareError, isKind, messageOf } from '../base/errors.ts';
import { describeStep } from '../runtime/compile/mod.ts';
import { HelperError } from '../sys/monitor/helper-error.ts';
import type { Op } from '../sys/plan/schema.ts';
import { fileError } from './file-error.ts';

/** A process that could not start; `exitCode` is what a shell expects (127 not found, 126 not executable, 125 anything else). */
export class LaunchError extends TareError {
  readonly exitCode: number;

  constructor(kind: TareError['kind'], message: string, exitCode: number, cause: unknown) {
    super(kind, message, { cause });
    this.exitCode = exitCode;
  }
}

/** Whether a start was refused because somebody else has the container for a moment: it is worth asking again. */
export function isBusy(error: unknown): boolean {
  return isKind(error, 'failed-precondition') && !(error instanceof LaunchError);
}

const EXEC_NOT_FOUND = 127;
const EXEC_DENIED = 126;
const ENGINE_FAILED = 125;
const ENOENT = 2;
const BEFORE_ANY_STEP = 0xffffffff;

/** Says what failed in the user's terms. `ops` are the operations of the Plan that was to be executed. */
export function toLaunchError(error: unknown, ops: readonly Op[]): LaunchError {
  if (error instanceof LaunchError) return error;
  if (error instanceof HelperError) {
    const isExec = error.step !== undefined && ops[error.step]?.op === 'exec';
    const code = !isExec ? ENGINE_FAILED : error.errno === ENOENT ? EXEC_NOT_FOUND : EXEC_DENIED;
    // The errno of a failed exec is about the user's file, never about us.
    const kind = isExec && error.kind === 'internal' ? 'invalid' : error.kind;
    return new LaunchError(
      kind,
      describeStep(ops, error.step ?? BEFORE_ANY_STEP, error.errno, error.text),
      code,
      error,
    );
  }
  const known = fileError(error, 'start container');
  const kind = known instanceof TareError ? known.kind : 'internal';
  const message = isKind(known, 'unavailable')
    ? 'Cannot start process: the monitor ended before it started'
    : messageOf(known);
  return new LaunchError(kind, message, ENGINE_FAILED, error);
}
