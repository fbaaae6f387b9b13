import { listVolumes, volumeSummary, volumeView } from '../../engine/volumes/list-volumes.ts';
import { inspectEach, inspectFormat } from '../inspect-each.ts';
import { UsageError } from '../usage-error.ts';
import { defineVerb } from '../verb.ts';

/** `tare volume inspect`: a JSON list, or a line for each with a template. */
export const verb = defineVerb({
  usage: '[OPTIONS] VOLUME [VOLUME...]',
  flags: {
    all: { type: 'switch', short: 'a', help: 'All volumes' },
    format: inspectFormat('Mountpoint'),
  },
  args: { min: 0 },
  examples: [["volume inspect --format '{{.Mountpoint}}' data", 'Where the files are']],
  run(context, values, names) {
    const all = values.all === true;
    if (all && names.length > 0) throw new UsageError('Cannot use --all and a name together');
    if (!all && names.length === 0)
      throw new UsageError(
        'Cannot run tare volume inspect: it takes at least 1 argument, not 0 (see tare volume inspect --help)',
      );
    if (all) return inspectEach(context, values.format, listVolumes(context.engine), volumeView);
    return inspectEach(context, values.format, names, (name) => volumeView(volumeSummary(context.engine, name)));
  },
});
