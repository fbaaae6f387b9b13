import { unshare } from '../../engine/unshare.ts';
import { defineVerb } from '../verb.ts';

/** `tare unshare`: becomes the command, so that its exit code is ours. */
export const verb = defineVerb({
  usage: '[COMMAND [ARG...]]',
  flags: {},
  args: { min: 0 },
  commandFollows: true,
  errorCode: 125,
  examples: [
    ['unshare', "Your shell, as root over your containers' files"],
    ['unshare rm -rf volume', 'Delete what a container made with an owner that is not you'],
    ['unshare node app.js', 'A program that uses Tare as a library'],
  ],
  run(context, _, argv) {
    return unshare(argv, context.env, process.getuid?.() ?? 0);
  },
});
