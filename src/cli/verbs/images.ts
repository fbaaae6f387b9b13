import { listImages, type ImageSummary } from '../../engine/list-images.ts';
import { compileFormat, parseFilters } from '../format.ts';
import { filterImages, imageFilterKeys, imageFilterOffers, imageSorts, isNamed } from '../image-filter.ts';
import { imageColumns, imageHeadings, imageJson, imageRows } from '../image-row.ts';
import { renderRows, type Row } from '../rows.ts';
import { defineVerb } from '../verb.ts';

/** `tare images`. */
export const verb = defineVerb({
  usage: '[OPTIONS] [REPOSITORY[:TAG]]',
  flags: {
    all: { type: 'switch', short: 'a', help: 'Also images without a name that others are made of' },
    quiet: { type: 'switch', short: 'q', help: 'Print ids only' },
    digests: { type: 'switch', help: 'Show digests' },
    filter: {
      type: 'list',
      short: 'f',
      value: 'KEY=VALUE',
      offers: imageFilterOffers,
      help: 'Only those with this dangling, intermediate or readonly (true or false), reference, label or id, made before or since another image or until a time',
    },
    format: {
      type: 'text',
      value: 'json|table ...|TEMPLATE',
      help: 'Print fields: Repository, Tag, ID, Digest, CreatedAt, CreatedSince, Size, Containers, Names, Labels; json: one list',
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
    const now = context.now();
    const showsAll = values.all === true || filters.has('intermediate');
    const images = filterImages(await listImages(context.engine), filters, now).filter(
      (image) => (showsAll || !image.isIntermediate) && (wanted === undefined || isNamed(image, wanted)),
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
    const rows = images.flatMap((image: ImageSummary): Row[] => imageRows(image, now, full));
    if (order === 'repository' || order === 'tag') {
      rows.sort(by(({ Repository, Tag }) => (order === 'tag' ? String(Tag) : `${String(Repository)}:${String(Tag)}`)));
    }
    const columns =
      values.digests === true
        ? imageColumns.flatMap((column) => (column === 'ID' ? ['Digest', column] : [column]))
        : imageColumns;
    context.print(renderRows(rows, format, columns, imageHeadings, values.noheading === true));
    return 0;
  },
});

function by<T>(key: (item: T) => string): (a: T, b: T) => number {
  return (a, b) => (key(a) < key(b) ? -1 : key(a) > key(b) ? 1 : 0);
}
