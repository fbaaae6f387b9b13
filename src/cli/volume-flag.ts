import { resolve } from 'node:path';
import type { MountRequest, Propagation } from '../engine/create-options.ts';
import { ignoredOptions, isPropagation, mountOptions, placeInContainer, volumeNameOf } from './mount-words.ts';
import { UsageError } from './usage-error.ts';

/** The options behind the last colon of `-v`, sorted. */
interface VolumeWords {
  readonly readOnly: boolean;
  readonly recursive: boolean | undefined;
  readonly noCopy: boolean;
  readonly chown: boolean;
  readonly propagation: Propagation | undefined;
  readonly passed: readonly string[];
}

/**
 * Parses `-v HOST:CONTAINER[:OPTION,...]` (a bind mount), `-v NAME:CONTAINER[:OPTION,...]` (a volume) and `-v CONTAINER` (an anonymous volume). Errors: UsageError.
 */
export function parseVolumeFlag(text: string, cwd: string): MountRequest {
  const shown = `--volume ${text}`;
  const fields = text.split(':');
  const [first = '', second, options = ''] = fields;
  if (fields.length > 3 || second === '')
    throw new UsageError(
      `Cannot use ${shown}: expected HOST:CONTAINER[:OPTIONS], NAME:CONTAINER[:OPTIONS] or CONTAINER`,
    );
  if (second === undefined) return { type: 'volume', destination: placeInContainer(shown, first), readOnly: false };
  const destination = placeInContainer(shown, second);
  const words = sorted(shown, options);
  const common = {
    destination,
    readOnly: words.readOnly,
    ...(words.propagation === undefined ? {} : { propagation: words.propagation }),
    ...(words.passed.length === 0 ? {} : { options: words.passed }),
    ...(words.chown ? { chown: true } : {}),
  };
  if (!/^(\/|\.\.?(\/|$))/.test(first))
    return { type: 'volume', name: volumeNameOf(shown, first), ...common, ...(words.noCopy ? { noCopy: true } : {}) };
  return {
    type: 'bind',
    source: resolve(cwd, first),
    ...common,
    createSource: true,
    ...(words.recursive === undefined ? {} : { recursive: words.recursive }),
  };
}

function sorted(shown: string, options: string): VolumeWords {
  let readOnly = false;
  let recursive: boolean | undefined;
  let noCopy = false;
  let chown = false;
  let propagation: Propagation | undefined;
  const passed: string[] = [];
  for (const option of options === '' ? [] : options.split(',')) {
    if (option === 'ro') readOnly = true;
    else if (option === 'rw') readOnly = false;
    else if (option === 'bind') recursive = false;
    else if (option === 'rbind') recursive = true;
    else if (option === 'nocopy') noCopy = true;
    else if (option === 'copy') noCopy = false;
    else if (option === 'U') chown = true;
    else if (isPropagation(option)) propagation = option;
    else if (mountOptions.has(option)) passed.push(option);
    else if (!ignoredOptions.has(option)) throw new UsageError(`Cannot use ${shown}: unknown option ${option}`);
  }
  return { readOnly: readOnly || passed.includes('rro'), recursive, noCopy, chown, propagation, passed };
}
