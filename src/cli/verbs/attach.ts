import { attachContainer } from '../../engine/attach.ts';
import { resolveContainer } from '../../engine/names.ts';
import { readRecord } from '../../engine/record.ts';
import { attachFlags } from '../attach-flags.ts';
import { stayAttached, streamsOf } from '../stay-attached.ts';
import { defineVerb } from '../verb.ts';

/** `tare attach`: the exit code is the container's, 0 after detaching. */
export const verb = defineVerb({
  usage: '[OPTIONS] CONTAINER',
  flags: { 'no-stdin': { type: 'switch', help: 'Do not connect standard input' }, ...attachFlags },
  args: { min: 1, max: 1 },
  examples: [['attach web', 'Follow a container; ctrl-p ctrl-q leaves it running when it has a terminal']],
  async run(context, values, [name = '']) {
    const { engine } = context;
    const record = readRecord(engine, resolveContainer(engine, name));
    const stdin = record.openStdin && values['no-stdin'] !== true;
    const stay = await stayAttached(streamsOf([], stdin), record.terminal, values);
    // A container somebody else looks at is not ours to kill when our reader leaves.
    return stay(await attachContainer(engine, name, { stdin }), false);
  },
});
