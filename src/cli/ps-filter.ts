import { isKind } from '../base/errors.ts';
import { imageFamily } from '../engine/image-family.ts';
import type { ContainerSummary } from '../engine/list.ts';
import { resolveContainer } from '../engine/names.ts';
import { mountWords } from '../engine/mount-views.ts';
import { readRecord } from '../engine/record.ts';
import { hasLabel } from '../engine/has-label.ts';
import type { Context } from './context.ts';
import { nameTest, parseFilters, requireOne, type Filters } from './filters.ts';
import { psFilterKeys, psHealths, psRestartPolicies, psStates } from './ps-filter-keys.ts';
import { UsageError } from './usage-error.ts';
import { parseInteger, parseTime } from './values.ts';

/** What `--filter` flags ask for. */
export interface PsFilter {
  /** Those that do not run are asked for, too, as by -a. */
  readonly wantsAll: boolean;
  readonly passes: (container: ContainerSummary) => boolean;
}

/** Of a verb's context: where containers are, and the time. */
type FilterContext = Pick<Context, 'engine' | 'now'>;

type Test = (container: ContainerSummary) => boolean;

/**
 * Compiles `--filter` flags. Of several values of one key any will do, but all labels must be there (and none of `label!`). Errors: UsageError for an unknown key or
 * a bad value, or when the container or image that a value names is not there.
 */
export async function compilePsFilter(context: FilterContext, given: readonly string[]): Promise<PsFilter> {
  const filters = parseFilters(given, psFilterKeys);
  const checks: Test[] = [];
  for (const [key, values] of filters) {
    const tests: Test[] = [];
    for (const value of values) tests.push(await testOf(context, key, value));
    checks.push(
      key.startsWith('label')
        ? (container) => tests.every((test) => test(container))
        : (container) => tests.some((test) => test(container)),
    );
  }
  return { wantsAll: wantsAll(filters), passes: (container) => checks.every((check) => check(container)) };
}

function wantsAll(filters: Filters): boolean {
  return filters.has('status') || filters.has('exited');
}

async function testOf(context: FilterContext, key: string, value: string): Promise<Test> {
  switch (key) {
    case 'id':
      return ({ id }) => id.startsWith(value);
    case 'name':
      return nameTest(value);
    case 'status':
      requireOne(key, value, psStates);
      return ({ state }) => state === value;
    case 'health':
      requireOne(key, value, psHealths);
      return ({ health }) => (health ?? 'none') === value;
    case 'restart-policy':
      requireOne(key, value, psRestartPolicies);
      return ({ restartPolicy }) => (restartPolicy ?? 'no') === value;
    case 'exited': {
      const code = parseInteger('--filter exited=', value);
      return (container) => container.state === 'exited' && container.exitCode === code;
    }
    case 'label':
      return ({ labels }) => hasLabel(labels, value);
    case 'label!':
      return ({ labels }) => !hasLabel(labels, value);
    case 'network':
      return ({ network, networks = [network] }) => networks.includes(value);
    case 'volume':
      return ({ id }) =>
        mountsOf(context, id).some(({ sources, destination }) => destination === value || sources.includes(value));
    case 'before':
    case 'since': {
      const reference = timeOfContainer(context, key, value);
      return ({ createdAt }) => (key === 'before' ? createdAt < reference : createdAt > reference);
    }
    case 'until': {
      const time = parseTime('--filter until=', value, context.now());
      return ({ createdAt }) => createdAt < time;
    }
    case 'ancestor':
      return ancestorTest(context, value);
    default:
      return ({ pod }) => pod !== undefined && (pod.name === value || (value !== '' && pod.id.startsWith(value)));
  }
}

function timeOfContainer(context: FilterContext, key: string, value: string): string {
  try {
    return readRecord(context.engine, resolveContainer(context.engine, value)).createdAt;
  } catch (cause) {
    if (!isKind(cause, 'not-found') && !isKind(cause, 'invalid')) throw cause;
    throw new UsageError(`Cannot use --filter ${key}=${value}: ${cause.message}`, { cause });
  }
}

/** Of a container that may be gone. */
function mountsOf(context: FilterContext, id: string): ReturnType<typeof mountWords> {
  try {
    return mountWords(context.engine, readRecord(context.engine, id));
  } catch (error) {
    if (isKind(error, 'not-found')) return [];
    throw error;
  }
}

/** By the name a container was made with, or because its image is the one meant, or one built on it. */
async function ancestorTest(context: FilterContext, value: string): Promise<Test> {
  let family: ReadonlySet<string> = new Set();
  try {
    family = await imageFamily(context.engine, value);
  } catch (error) {
    // The image may be gone: names stay.
    if (!isKind(error, 'not-found')) throw error;
  }
  return ({ image, imageId }) =>
    (imageId !== undefined && family.has(imageId)) ||
    [image, withoutTag(image)].some((name) => name === value || name.endsWith(`/${value}`));
}

function withoutTag(image: string): string {
  return image.replace(/(@[^@]*)?$/, '').replace(/:[^:/]*$/, '');
}
