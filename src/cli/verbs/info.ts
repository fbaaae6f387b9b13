import { engineInfo } from '../../engine/info.ts';
import { compileFormat } from '../format.ts';
import { outline } from '../outline.ts';
import { defineVerb } from '../verb.ts';

/** `tare info`. */
export const verb = defineVerb({
  usage: '[OPTIONS]',
  flags: { format: { type: 'text', short: 'f', value: 'json|TEMPLATE', help: 'Print JSON or {{.field.path}}' } },
  args: { min: 0, max: 0 },
  examples: [['info', 'Places, kernel, cgroups, and what is missing here']],
  run(context, values) {
    const format = values.format === undefined ? undefined : compileFormat(values.format);
    const info = engineInfo(context.engine);
    context.print(format === undefined ? outline(info) : `${format.render(info)}\n`);
    return 0;
  },
});
