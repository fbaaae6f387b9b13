import { nearest } from '../nearest.ts';
import { dataOf, isMapField, isMapping, kindName, type Mapping } from './values.ts';

/** Fields that are only there when there is something to tell: without them a template is no mistake. */
const OPTIONAL: ReadonlySet<string> = new Set(['Health', 'Healthcheck', 'Annotations', 'Labels']);

/** Finds fields of data. In a structure a name that is not there is a mistake; in a map it is nothing. Only own properties are ever looked at. */
export class Lookup {
  readonly #root: unknown;
  readonly #isStrict: boolean;
  /** Objects that are maps because of the field they were found in. */
  readonly #maps = new WeakSet<object>();

  /** `strict`: an object without capitals in its keys is a structure, too. */
  constructor(root: unknown, strict: boolean) {
    this.#root = root;
    this.#isStrict = strict;
  }

  /** A key as written, or else without regard to case and underscores, so that `.Id` and `.ID` both work, and `.CreatedBy` is `created_by`. Nothing has no fields. Errors: Error that says what there is. */
  field(object: unknown, name: string): unknown {
    if (object === undefined || object === null) return undefined;
    if (!isMapping(object)) throw new Error(`there is no field ${name}: ${kindName(object)} has none`);
    const value = this.#member(object, name);
    const inner = dataOf(value);
    if (isMapField(name) && isMapping(inner)) this.#maps.add(inner);
    return value;
  }

  #member(object: Mapping, name: string): unknown {
    if (Object.hasOwn(object, name)) return object[name];
    if (this.#maps.has(object)) return undefined;
    const keys = Object.keys(object);
    const key = keys.find((candidate) => folded(candidate) === folded(name));
    if (key !== undefined) return object[key];
    if (OPTIONAL.has(name) || this.#mayBeMap(object)) return undefined;
    const guess = nearest(name, keys);
    throw new Error(
      `there is no field ${name}; ${guess === undefined ? `there are ${keys.join(', ')}` : `did you mean ${guess}?`}`,
    );
  }

  /** Keys without capitals are data, not our names. */
  #mayBeMap(object: Mapping): boolean {
    if (object === this.#root || this.#isStrict) return false;
    return !Object.keys(object).some((key) => /^\p{Lu}/u.test(key));
  }
}

function folded(name: string): string {
  return name.replaceAll('_', '').toLowerCase();
}
