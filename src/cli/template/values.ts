import { Heading } from './heading.ts';
import { Shown } from './shown.ts';

/** Data of a template: what JSON has, `Shown`, and functions for fields that take arguments. */
export type Mapping = Readonly<Record<string, unknown>>;

/** Fields whose values are maps, not structures: a key that is not there is no mistake, and they are printed sorted. */
const MAP_FIELDS: ReadonlySet<string> = new Set([
  'Annotations',
  'Attributes',
  'Data',
  'DriverOpts',
  'ExposedPorts',
  'Labels',
  'Networks',
  'Options',
  'PortBindings',
  'Ports',
  'Sysctls',
  'Tmpfs',
  'Volumes',
]);
const MAX_DEPTH = 100;

/** Whether a field holds a map. */
export function isMapField(name: string): boolean {
  return MAP_FIELDS.has(name);
}

/** The data of what is printed as a text. */
export function dataOf(value: unknown): unknown {
  return value instanceof Shown ? value.value : value;
}

/** The text of what is one, also where there is data beneath. */
export function plain(value: unknown): unknown {
  return value instanceof Shown || value instanceof Heading ? value.text : value;
}

export function isMapping(value: unknown): value is Mapping {
  return typeof value === 'object' && value !== null && !Array.isArray(value) && !(value instanceof Heading);
}

/** As Go's `if`: nothing, zero and what is empty are false. */
export function isTrue(value: unknown): boolean {
  const inner = plain(value);
  if (Array.isArray(inner)) return inner.length > 0;
  if (isMapping(inner)) return Object.keys(inner).length > 0;
  return Boolean(inner);
}

/** What kind of value it is, in Go's words. */
export function typeName(value: unknown): string {
  const inner = plain(value);
  if (inner === undefined || inner === null) return '<nil>';
  if (typeof inner === 'number') return Number.isInteger(inner) ? 'int' : 'float64';
  if (typeof inner === 'boolean') return 'bool';
  if (Array.isArray(inner)) return '[]interface {}';
  return typeof inner === 'object' ? 'map[string]interface {}' : typeof inner === 'function' ? 'func' : 'string';
}

/** What kind of value it is, for people. */
export function kindName(value: unknown): string {
  if (value === undefined || value === null) return 'nothing';
  if (Array.isArray(value)) return 'a list';
  if (typeof value === 'object') return 'an object';
  return typeof value === 'function' ? 'a function' : `a ${typeof value === 'string' ? 'text' : typeof value}`;
}

/** A value as Go prints it (%v): lists in brackets, objects as `map[k:v]`, sorted. */
export function show(value: unknown, depth = 0): string {
  const inner = plain(value);
  if (inner === undefined || inner === null) return '<nil>';
  if (typeof inner === 'string') return inner;
  if (typeof inner === 'number') return showNumber(inner);
  if (typeof inner === 'boolean' || typeof inner === 'bigint') return String(inner);
  if (depth > MAX_DEPTH) return '...';
  if (Array.isArray(inner)) return `[${inner.map((item) => show(item, depth + 1)).join(' ')}]`;
  if (!isMapping(inner)) return '';
  return `map[${sortedKeys(inner)
    .map((key) => `${key}:${show(inner[key], depth + 1)}`)
    .join(' ')}]`;
}

/** A number as Go prints it. */
export function showNumber(value: number): string {
  const size = Math.abs(value);
  if (Number.isInteger(value) || size === 0 || size >= 1e-4) return String(value).replace(/e\+?(-?)(\d)$/, 'e+$10$2');
  return value.toExponential().replace(/e-(\d)$/, 'e-0$1');
}

/** A value as JSON; maps are sorted as Go does. */
export function toJson(value: unknown): string {
  const text: string | undefined = JSON.stringify(plain(value), (key, member: unknown) =>
    isMapField(key) && isMapping(member) ? Object.fromEntries(sortedKeys(member).map((k) => [k, member[k]])) : member,
  );
  return text ?? 'null';
}

/** Keys in the order of their bytes, as Go sorts them. Methods are none. */
export function sortedKeys(value: Mapping): string[] {
  return Object.keys(value)
    .filter((key) => typeof value[key] !== 'function')
    .sort((a, b) => (a < b ? -1 : a > b ? 1 : 0));
}
