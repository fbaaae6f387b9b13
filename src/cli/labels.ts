import { printable } from './table.ts';
import { Shown } from './template/shown.ts';

type Labels = Readonly<Record<string, string>>;

/** Labels for templates: `a=1,b=2` as a text, one by one as data. */
export function labelsShown(labels: Labels): Shown {
  const text = Object.entries(labels).map(([key, value]) => printable(`${key}=${value}`));
  return new Shown(text.join(','), labels);
}

/** `{{.Label "key"}}`: empty for one that is not there. */
export function labelOf(labels: Labels, key: unknown): string {
  return typeof key === 'string' && Object.hasOwn(labels, key) ? (labels[key] ?? '') : '';
}
