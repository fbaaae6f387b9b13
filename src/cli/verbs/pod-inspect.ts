import { inspectPod } from '../../engine/pods/inspect-pod.ts';
import { inspectEach, inspectFormat } from '../inspect-each.ts';
import { defineVerb } from '../verb.ts';

/** `tare pod inspect`: a JSON list, or a line for each with a template. */
export const verb = defineVerb({
  usage: '[OPTIONS] POD [POD...]',
  flags: { format: inspectFormat('State') },
  args: { min: 1 },
  errorCode: 125,
  examples: [["pod inspect --format '{{.State}} {{.NumContainers}}' web", 'Two fields']],
  run: (context, values, names) =>
    inspectEach(context, values.format, names, (name) => inspectPod(context.engine, name), 125),
});
