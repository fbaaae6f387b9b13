import { listPods } from '../../engine/pods/list-pods.ts';
import { resolvePod } from '../../engine/pods/pod.ts';
import { containerStats } from '../../engine/stats.ts';
import { podChoice } from '../choose-pods.ts';
import { renderRows } from '../rows.ts';
import { printSamples, samplingFlags, samplingOf } from '../stats-flags.ts';
import { statsColumns, statsHeadings, statsRow } from '../stats-row.ts';
import { UsageError } from '../usage-error.ts';
import { defineVerb } from '../verb.ts';

const columns = ['Pod', 'CID', ...statsColumns.filter((column) => column !== 'ID')];
const allHeadings = { ...statsHeadings, CPU: 'CPU %', Mem: 'MEM %' };

/** `tare pod stats`: what the containers of pods use, their sandboxes as well. */
export const verb = defineVerb({
  usage: '[OPTIONS] [POD...]',
  flags: {
    all: podChoice.all,
    latest: podChoice.latest,
    ...samplingFlags,
    format: {
      type: 'text',
      value: 'json|table ...|TEMPLATE',
      help: 'Print fields: Pod, CID, Name, CPU, MemUsage, Mem, NetIO, BlockIO, PIDS; json: one object a line',
    },
  },
  args: { min: 0 },
  errorCode: 125,
  examples: [['pod stats --no-stream web', 'One sample of each container of a pod']],
  async run(context, values, names) {
    if ((values.all === true || values.latest === true) && names.length > 0)
      throw new UsageError('Cannot use --all or --latest together with the names of pods');
    const { intervalMs, format, full, ...how } = samplingOf(values);
    const pods = await listPods(context.engine);
    const ids = new Set(names.map((name) => resolvePod(context.engine, name)));
    const wanted =
      values.latest === true ? pods.slice(0, 1) : pods.filter(({ id }) => names.length === 0 || ids.has(id));
    const podOf = new Map(
      wanted.flatMap(({ id, containers }) => containers.map((one) => [one.id, { id, one }] as const)),
    );
    // Without names it would be of everybody.
    if (podOf.size === 0) {
      context.print(renderRows([], format, columns, allHeadings));
      return 0;
    }
    const samples = containerStats(context.engine, [...podOf.keys()], { intervalMs });
    await printSamples(context.print, samples, how, (containers) => {
      const rows = containers.map((sample) => {
        const { id = '', one } = podOf.get(sample.id) ?? {};
        const row = statsRow({ ...sample, name: one?.name ?? sample.name }, full);
        const { ID: CID, CPUPerc: CPU, MemPerc: Mem, PIDs: PIDS } = row;
        return { ...row, Pod: full ? id : id.slice(0, 12), CID, CPU, Mem, PIDS };
      });
      return renderRows(rows, format, columns, allHeadings);
    });
    return 0;
  },
});
