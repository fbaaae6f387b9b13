import { readFileSync } from 'node:fs';
import { UsageError } from './usage-error.ts';

type Env = Readonly<Record<string, string | undefined>>;

/** The launcher keeps what would change our own Node under this name (native/launcher/launcher.c): it is meant for the container. */
const HIDDEN_PREFIX = 'TARE_HIDDEN_';

/** `KEY=value` as given; `KEY` takes the caller's value, and is nothing when the caller has none. Errors: UsageError. */
export function variable(shown: string, text: string, env: Env): string[] {
  const equals = text.indexOf('=');
  const key = equals < 0 ? text : text.slice(0, equals);
  if (key === '') throw new UsageError(`Cannot use ${shown} ${text}: a name must stand before the equals sign`);
  if (text.includes('\0'))
    throw new UsageError(`Cannot use ${shown} ${key}: a zero byte cannot be passed to a program`);
  if (equals >= 0) return [text];
  const value = env[`${HIDDEN_PREFIX}${key}`] ?? env[key];
  return value === undefined ? [] : [`${key}=${value}`];
}

/** Variables of a file: one per line as for `variable`, `#` begins a comment line, values are taken literally. Errors: UsageError. */
export function readEnvFile(shown: string, path: string, absolute: string, env: Env): string[] {
  let text: string;
  try {
    text = readFileSync(absolute, 'utf8');
  } catch (cause) {
    const code = (cause as NodeJS.ErrnoException).code;
    throw new UsageError(
      `Cannot read ${shown} ${path}: ${code === 'ENOENT' ? 'no such file' : (code ?? 'unreadable')}`,
      { cause },
    );
  }
  return text.split('\n').flatMap((raw, index) => {
    const line = raw.replace(/\r$/, '').trimStart();
    if (line === '' || line.startsWith('#')) return [];
    const name = line.split('=', 1)[0] ?? '';
    if (/\s/.test(name))
      throw new UsageError(
        `Cannot use ${shown} ${path}: line ${index + 1}: white space in the name ${JSON.stringify(name)}`,
      );
    return variable(`${shown} ${path}:`, line, env);
  });
}
