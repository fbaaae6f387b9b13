import { completionScripts } from '../completion/scripts.ts';
import { UsageError } from '../usage-error.ts';
import { defineVerb } from '../verb.ts';

/** `tare completion`: a shell's script. */
export const verb = defineVerb({
  usage: 'bash|zsh|fish',
  flags: {},
  args: { min: 1, max: 1 },
  examples: [
    ['completion bash', 'The script for bash; use it with: source <(tare completion bash)'],
    ['completion fish', 'The script for fish; use it with: tare completion fish | source'],
  ],
  run(context, _values, [shell = '']) {
    if (shell !== 'bash' && shell !== 'zsh' && shell !== 'fish')
      throw new UsageError(`Cannot print a completion script for ${shell}: expected bash, zsh or fish`);
    context.print(completionScripts[shell]);
    return 0;
  },
});
