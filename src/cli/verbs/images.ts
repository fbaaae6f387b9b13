import { listImages } from '../../engine/images.ts';
import { compileFormat } from '../format.ts';
import { imageColumns, imageHeadings, imageRows, isNamed } from '../image-row.ts';
import { renderRows } from '../rows.ts';
import { defineVerb } from '../verb.ts';

/** `tare images`. */
export const verb = defineVerb({
  usage: '[OPTIONS] [REPOSITORY[:TAG]]',
  flags: {
    all: { type: 'switch', short: 'a', help: 'Accepted for compatibility: all images are always shown' },
    quiet: { type: 'switch', short: 'q', help: 'Print ids only' },
    digests: { type: 'switch', help: 'Show digests' },
    format: {
      type: 'text',
      value: 'json|table ...|TEMPLATE',
      help: 'Print fields: Repository, Tag, ID, Digest, CreatedAt, CreatedSince, Size',
    },
    'no-trunc': { type: 'switch', help: 'Print ids in full' },
  },
  args: { min: 0, max: 1 },
  examples: [["images --format '{{.Repository}}:{{.Tag}}'", 'Only the names']],
  async run(context, values, [wanted]) {
    const format = values.format === undefined || values.format === 'table' ? undefined : compileFormat(values.format);
    const images = (await listImages(context.engine)).filter((image) => wanted === undefined || isNamed(image, wanted));
    const full = values['no-trunc'] === true;
    if (values.quiet === true) {
      context.print(images.map(({ id }) => `${full ? `sha256:${id}` : id.slice(0, 12)}\n`).join(''));
      return 0;
    }
    const now = context.now();
    const columns =
      values.digests === true
        ? imageColumns.flatMap((column) => (column === 'ID' ? ['Digest', column] : [column]))
        : imageColumns;
    context.print(
      renderRows(
        images.flatMap((image) => imageRows(image, now, full)),
        format,
        columns,
        imageHeadings,
      ),
    );
    return 0;
  },
});
