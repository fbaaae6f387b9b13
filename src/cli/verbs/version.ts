import { arch, release } from 'node:os';
import { PLAN_VERSION } from '../../sys/plan/schema.ts';
import { compileFormat } from '../format.ts';
import { outline } from '../outline.ts';
import { packageVersion } from '../version.ts';
import { defineVerb } from '../verb.ts';

/** `tare version`. */
export const verb = defineVerb({
  usage: '[OPTIONS]',
  flags: { format: { type: 'text', short: 'f', value: 'json|TEMPLATE', help: 'Print JSON or {{.Client.Version}}' } },
  args: { min: 0, max: 0 },
  examples: [["version --format '{{.Client.Version}}'", 'Only the version']],
  run(context, values) {
    const format = values.format === undefined ? undefined : compileFormat(values.format);
    const versions = {
      Client: {
        Version: packageVersion(context.packageDir),
        Node: process.version,
        Helper: `Plan ${PLAN_VERSION}`,
        OsArch: `linux/${arch() === 'x64' ? 'amd64' : arch()}`,
        Kernel: release(),
      },
    };
    context.print(format === undefined ? outline(versions) : `${format.render(versions)}\n`);
    return 0;
  },
});
