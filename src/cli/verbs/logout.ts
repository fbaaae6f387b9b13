import { logout, logoutAll, parseLoginKey } from '../../engine/login.ts';
import { registryAccess, registryFlags } from '../registry-flags.ts';
import { UsageError } from '../usage-error.ts';
import { defineVerb } from '../verb.ts';

/** `tare logout`. */
export const verb = defineVerb({
  usage: '[OPTIONS] [REGISTRY]',
  flags: {
    all: { type: 'switch', short: 'a', help: 'Forget the credentials for all registries' },
    authfile: registryFlags.authfile,
  },
  args: { min: 0, max: 1 },
  examples: [
    ['logout docker.io', 'Forget one login'],
    ['logout --all', 'Forget all'],
  ],
  async run(context, values, [registry]) {
    const access = registryAccess(context, values);
    if ((values.all === true) === (registry !== undefined))
      throw new UsageError('Cannot log out: name one registry, or use --all (see tare logout --help)');
    if (registry === undefined) {
      await logoutAll(access);
      context.print('Removed login credentials for all registries\n');
      return 0;
    }
    const key = parseLoginKey(registry);
    await logout(access, key);
    context.print(`Removed login credentials for ${key.text}\n`);
    return 0;
  },
});
