import { installUnits, restartUnitName } from '../../engine/install-units.ts';
import { defineVerb } from '../verb.ts';

/** `tare system install-units`: prints the path of the unit. */
export const verb = defineVerb({
  usage: '[OPTIONS]',
  flags: {
    user: { type: 'switch', help: "For your own containers, by your user's systemd" },
  },
  args: { min: 0, max: 0 },
  errorCode: 125,
  examples: [
    ['system install-units', 'From the next boot on, start what was run with --restart always or unless-stopped'],
    ['system install-units --user', 'The same for your own containers'],
  ],
  run(context, values) {
    const user = values.user === true;
    const { path, needsLinger } = installUnits(context.engine, { user });
    context.print(`${path}\n`);
    const systemctl = user ? 'systemctl --user' : 'systemctl';
    context.inform(
      `To start it before the next boot: ${systemctl} daemon-reload; ${systemctl} start ${restartUnitName}`,
    );
    if (needsLinger) context.warn(['The unit starts when you log in; to start it at boot: loginctl enable-linger']);
    return 0;
  },
});
