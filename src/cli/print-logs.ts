import type { LogOptions, LogRecord } from '../engine/logs.ts';
import type { FlagTable, FlagValues } from './flag-table.ts';
import { writeAll } from './output.ts';
import { UsageError } from './usage-error.ts';
import { parseInteger, parseTime } from './values.ts';

/** What `logs` of a container and of a pod have in common. */
export const logFlags = {
  follow: { type: 'switch', short: 'f', help: 'Go on until all has ended' },
  since: { type: 'text', value: 'TIME', help: 'From then on: RFC 3339, Unix seconds, or 10m for ten minutes ago' },
  until: { type: 'text', value: 'TIME', help: 'Before then' },
  timestamps: { type: 'switch', short: 't', help: 'Put the time before each line' },
} as const satisfies FlagTable;

type Values = Partial<FlagValues<typeof logFlags>> & { readonly tail?: string | undefined };

/** What to read. Errors: UsageError. */
export function logOptions(values: Values, nowMs: number): LogOptions {
  const { tail } = values;
  const since = values.since === undefined ? undefined : parseTime('--since', values.since, nowMs);
  const until = values.until === undefined ? undefined : parseTime('--until', values.until, nowMs);
  if (since !== undefined && until !== undefined && since > until)
    throw new UsageError('Cannot use --since and --until: the end is before the beginning');
  return {
    follow: values.follow === true,
    ...(tail === undefined || tail === 'all' || tail === '-1' ? {} : { tail: parseInteger('--tail', tail) }),
    ...(since === undefined ? {} : { since }),
    ...(until === undefined ? {} : { until }),
  };
}

/**
 * Prints records: those of stdout to stdout, the others to stderr. `headOf` is what stands before each line, told whose it is: a line that goes on in another record has it once, unless somebody
 * else's came between its parts. Then it is broken: nobody's words stand in the middle of another's.
 */
export async function printLogs<R extends LogRecord>(
  records: AsyncIterable<R>,
  values: Values,
  headOf: (record: R) => string = () => '',
): Promise<void> {
  const batch = new Batch(values.follow === true);
  /** By stream: whose line goes on. */
  const open = new Map<1 | 2, string>();
  for await (const record of records) {
    const { stream } = record;
    const head = headOf(record);
    const goesOn = open.get(stream);
    if (goesOn !== head) {
      if (goesOn !== undefined) await batch.add(stream, NEWLINE);
      await batch.add(stream, Buffer.from(`${head}${values.timestamps === true ? `${record.time} ` : ''}`));
    }
    await batch.add(stream, record.text);
    if (record.partial) open.set(stream, head);
    else {
      open.delete(stream);
      await batch.add(stream, NEWLINE);
      await batch.endOfLine();
    }
  }
  await batch.flush();
}

const NEWLINE = Uint8Array.of(10);
/** Records are gathered so that a long log costs few system calls. */
const BATCH_BYTES = 64 * 1024;

/** Bytes for one stream, written when there are many, when the stream changes, or at each line while somebody is waiting. */
class Batch {
  readonly #eager: boolean;
  #stream: 1 | 2 = 1;
  #parts: Uint8Array[] = [];
  #bytes = 0;

  constructor(eager: boolean) {
    this.#eager = eager;
  }

  async add(stream: 1 | 2, bytes: Uint8Array): Promise<void> {
    if (stream !== this.#stream) await this.flush();
    this.#stream = stream;
    this.#parts.push(bytes);
    this.#bytes += bytes.length;
    if (this.#bytes > BATCH_BYTES) await this.flush();
  }

  async endOfLine(): Promise<void> {
    if (this.#eager) await this.flush();
  }

  async flush(): Promise<void> {
    if (this.#bytes === 0) return;
    const bytes = Buffer.concat(this.#parts, this.#bytes);
    this.#parts = [];
    this.#bytes = 0;
    await writeAll(this.#stream, bytes);
  }
}
