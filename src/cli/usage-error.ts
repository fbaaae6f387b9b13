import { TareError } from '../base/errors.ts';

/** A command line that cannot be understood: nothing was done; exit code 125. Kind `invalid`. */
export class UsageError extends TareError {
  readonly exitCode = 125;

  constructor(message: string, options?: { cause?: unknown }) {
    super('invalid', message, options);
  }
}
