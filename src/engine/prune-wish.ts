import { hasLabel } from './has-label.ts';

/** Which of those that nobody uses are to go. */
export interface PruneWish {
  /** Only those created before, RFC 3339. */
  readonly createdBefore?: string;
  /** `key` or `key=value`; all of them must be there. */
  readonly labels?: readonly string[];
  /** None of these may be there. */
  readonly withoutLabels?: readonly string[];
}

/** Whether one of them is wanted. */
export function isWished(
  { createdAt, labels }: { readonly createdAt: string; readonly labels: Readonly<Record<string, string>> },
  wish: PruneWish,
): boolean {
  const has = (label: string): boolean => hasLabel(labels, label);
  if (wish.createdBefore !== undefined && Date.parse(createdAt) >= Date.parse(wish.createdBefore)) return false;
  return wish.labels?.every(has) !== false && wish.withoutLabels?.some(has) !== true;
}
