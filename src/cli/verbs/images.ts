import { listImages, type ImageSummary } from '../../engine/list-images.ts';
import { compileFormat, parseFilters } from '../format.ts';
import { filterImages, imageFilterKeys, imageSorts, isNamed } from '../image-filter.ts';
import { imageColumns, imageHeadings, imageJson, imageRows } from '../image-row.ts';
import { renderRows } from '../rows.ts';
import { defineVerb } from '../verb.ts';

type Row = Readonly<Record<string, string>>;

/** `tare images`. */
export const verb = defineVerb({
  usage: '[OPTIONS] [REPOSITORY[:TAG]]',
  flags: {
    all: { type: 'switch', short: 'a', help: 'Accepted for compatibility: all images are always shown' },
    quiet: { type: 'switch', short: 'q', help: 'Print ids only' },
    digests: { type: 'switch', help: 'Show digests' },
    filter: {
      type: 'list',
      short: 'f',
      value: 'KEY=VALUE',
      help: 'Only those with this dangling (true or false), reference, label or id, made before or since another image',
    },
    format: {
      type: 'text',
      value: 'json|table ...|TEMPLATE',
      help: 'Print fields: Repository, Tag, ID, Digest, CreatedAt, CreatedSince, Size, Containers; json: one list',
    },
    'no-trunc': { type: 'switch', help: 'Print ids in full' },
    noheading: { type: 'switch', short: 'n', help: 'No line of headings' },
    sort: { type: 'text', choices: imageSorts, standard: 'created', help: 'Order; created is newest first' },
  },
  args: { min: 0, max: 1 },
  examples: [
    ["images --format '{{.Repository}}:{{.Tag}}'", 'Only the names'],
    ['images --filter dangling=true -q', 'Ids of images without a name'],
  ],
  async run(context, values, [wanted]) {
    const { format: asked } = values;
    const format = asked === undefined || asked === 'table' || asked === 'json' ? undefined : compileFormat(asked);
    const filters = parseFilters(values.filter, imageFilterKeys);
    const images = filterImages(await listImages(context.engine), filters).filter(
      (image) => wanted === undefined || isNamed(image, wanted),
    );
    const order = values.sort ?? 'created';
    if (order === 'id') images.sort(by((image) => image.id));
    if (order === 'size') images.sort((a, b) => a.sizeBytes - b.sizeBytes);
    const full = values['no-trunc'] === true;
    if (values.quiet === true) {
      context.print(images.map(({ id }) => `${full ? `sha256:${id}` : id.slice(0, 12)}\n`).join(''));
      return 0;
    }
    if (asked === 'json') {
      context.print(`${JSON.stringify(images.map(imageJson), undefined, 4)}\n`);
      return 0;
    }
    const now = context.now();
    const rows = images.flatMap((image: ImageSummary): Row[] => imageRows(image, now, full));
    if (order === 'repository' || order === 'tag')
      rows.sort(by((row) => (order === 'tag' ? (row['Tag'] ?? '') : `${row['Repository'] ?? ''}:${row['Tag'] ?? ''}`)));
    const columns =
      values.digests === true
        ? imageColumns.flatMap((column) => (column === 'ID' ? ['Digest', column] : [column]))
        : imageColumns;
    const text = renderRows(rows, format, columns, imageHeadings);
    const hasHeading = format === undefined || format.table;
    context.print(values.noheading === true && hasHeading ? text.slice(text.indexOf('\n') + 1) : text);
    return 0;
  },
});

function by<T>(key: (item: T) => string): (a: T, b: T) => number {
  return (a, b) => (key(a) < key(b) ? -1 : key(a) > key(b) ? 1 : 0);
}
