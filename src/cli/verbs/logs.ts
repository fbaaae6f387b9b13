import { readLogs } from '../../engine/logs.ts';
import { writeAll } from '../output.ts';
import { UsageError } from '../usage-error.ts';
import { parseInteger, parseTime } from '../values.ts';
import { defineVerb } from '../verb.ts';

const NEWLINE = Uint8Array.of(10);
/** Records are gathered so that a long log costs few system calls. */
const BATCH_BYTES = 64 * 1024;

/** `tare logs`: what went to stdout goes to stdout, the rest to stderr. */
export const verb = defineVerb({
  usage: '[OPTIONS] CONTAINER',
  flags: {
    follow: { type: 'switch', short: 'f', help: 'Go on until the container has ended' },
    tail: { type: 'text', short: 'n', value: 'N|all', standard: 'all', help: 'Only the last lines' },
    since: { type: 'text', value: 'TIME', help: 'From then on: RFC 3339, Unix seconds, or 10m for ten minutes ago' },
    until: { type: 'text', value: 'TIME', help: 'Before then' },
    timestamps: { type: 'switch', short: 't', help: 'Put the time before each line' },
  },
  args: { min: 1, max: 1 },
  examples: [
    ['logs -f --tail 20 web', 'The last lines, and those that follow'],
    ['logs --since 10m -t web', 'The last ten minutes with times'],
  ],
  async run(context, values, [name = '']) {
    const now = context.now();
    const tail =
      values.tail === undefined || values.tail === 'all' || values.tail === '-1'
        ? undefined
        : parseInteger('--tail', values.tail);
    const since = values.since === undefined ? undefined : parseTime('--since', values.since, now);
    const until = values.until === undefined ? undefined : parseTime('--until', values.until, now);
    if (since !== undefined && until !== undefined && since > until)
      throw new UsageError('Cannot use --since and --until: the end is before the beginning');
    const records = readLogs(context.engine, name, {
      follow: values.follow === true,
      ...(tail === undefined ? {} : { tail }),
      ...(since === undefined ? {} : { since }),
      ...(until === undefined ? {} : { until }),
    });
    const batch = new Batch(values.follow === true);
    /** Streams whose last record goes on: their next one gets no time. */
    const open = new Set<number>();
    for await (const record of records) {
      if (values.timestamps === true && !open.has(record.stream))
        await batch.add(record.stream, Buffer.from(`${record.time} `));
      await batch.add(record.stream, record.text);
      if (record.partial) {
        open.add(record.stream);
      } else {
        open.delete(record.stream);
        await batch.add(record.stream, NEWLINE);
        await batch.endOfLine();
      }
    }
    await batch.flush();
    return 0;
  },
});

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
