import { SysError } from '../error.ts';

/** The step of a failure before any step of the Plan. */
const NO_STEP = 0xffffffff;

/** What the helper reports when it cannot do a step of a Plan: `kind` follows from the errno as for any system call. */
export class HelperError extends SysError {
  /** Index of the op in the whole Plan; undefined when it failed before any. */
  readonly step: number | undefined;
  /** The helper's words: the call or the path it failed on. */
  readonly text: string;

  constructor(step: number, errno: number, text: string) {
    super(step === NO_STEP ? 'start container' : `do plan step ${step}`, errno, undefined, text);
    this.step = step === NO_STEP ? undefined : step;
    this.text = text;
  }
}
