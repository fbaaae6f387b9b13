import { TareError } from '../../base/errors.ts';
import { NO_FD, type Op } from '../../sys/plan/schema.ts';
import type { CompiledPlan, FdSource } from './types.ts';

/** A Plan being written: operations in order and the descriptors they name. */
export class Draft {
  readonly #ops: Op[] = [];
  readonly #fds: FdSource[] = [];
  readonly #slots = new Map<string, number>();

  add(...ops: readonly Op[]): void {
    this.#ops.push(...ops);
  }

  /** The slot of a descriptor. Equal sources share one, except mounts, which can be attached only once. */
  fd(source: FdSource | undefined): number {
    if (source === undefined) return NO_FD;
    const key = source.kind === 'tree' || source.kind === 'overlay' ? undefined : slotKey(source);
    const known = key === undefined ? undefined : this.#slots.get(key);
    if (known !== undefined) return known;
    const slot = this.#fds.push(source) - 1;
    if (key !== undefined) this.#slots.set(key, slot);
    return slot;
  }

  finish(): CompiledPlan {
    return { ops: this.#ops, fds: this.#fds };
  }
}

function slotKey(source: FdSource): string {
  const detail =
    'path' in source ? source.path : 'which' in source ? source.which : 'index' in source ? source.index : '';
  return `${source.kind}\0${detail}`;
}

/** An error of kind `invalid` about a part of the configuration. */
export function invalid(what: string, state: string): TareError {
  return new TareError('invalid', `Cannot use ${what}: ${state}`);
}

/** An error of kind `unsupported`: valid by the spec, not done here. */
export function unsupported(what: string, state: string): TareError {
  return new TareError('unsupported', `Cannot use ${what}: ${state}`);
}
