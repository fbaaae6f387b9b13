import { isKind } from '../../base/errors.ts';
import { checkLogin, existingLogin, login, parseLoginKey, type LoginKey } from '../../engine/login.ts';
import type { RegistryAccess } from '../../engine/registries.ts';
import type { Context } from '../context.ts';
import { Prompt } from '../prompt.ts';
import { registryAccess, registryFlags } from '../registry-flags.ts';
import { readInput } from '../read-input.ts';
import { UsageError } from '../usage-error.ts';
import { defineVerb } from '../verb.ts';

const MAX_PASSWORD_BYTES = 64 * 1024;

/** `tare login`: asks for what is missing, and keeps only what the registry accepted. */
export const verb = defineVerb({
  usage: '[OPTIONS] REGISTRY',
  flags: {
    username: { type: 'text', short: 'u', help: 'Name to log in with' },
    password: {
      type: 'text',
      short: 'p',
      help: 'Password (others on this machine can see it: prefer --password-stdin)',
    },
    'password-stdin': { type: 'switch', help: 'Read the password from standard input' },
    'get-login': { type: 'switch', help: 'Print the name that is logged in' },
    ...registryFlags,
  },
  args: { min: 1, max: 1 },
  examples: [
    ['login docker.io', 'Ask for name and password'],
    ['login --username ann --password-stdin registry.example:5000', 'In a script'],
  ],
  async run(context, values, [registry = '']) {
    const key = parseLoginKey(registry);
    const access = registryAccess(context, values);
    if (values['get-login'] === true) return printLogin(context, access, key);
    const { username, password: shown } = values;
    if (values['password-stdin'] === true && shown !== undefined)
      throw new UsageError('Cannot use --password with --password-stdin: only one of them can bring the password');
    if (values['password-stdin'] === true && username === undefined)
      throw new UsageError('Cannot use --password-stdin alone: --username must say whose password it is');
    const given = values['password-stdin'] === true ? await readPassword() : shown;
    if (username === undefined && given === undefined && (await isStillValid(context, access, key))) return 0;
    await login(access, key, await complete(context, key, username, given));
    context.print('Login Succeeded!\n');
    return 0;
  },
});

async function printLogin(context: Context, access: RegistryAccess, key: LoginKey): Promise<number> {
  const existing = await existingLogin(access, key);
  if (existing === undefined) {
    context.complain(`Error: not logged into ${key.text}\n`);
    return 1;
  }
  context.print(`${existing.username ?? '<token>'}\n`);
  return 0;
}

/** Tries what is kept before it asks for anything, as podman does. */
async function isStillValid(context: Context, access: RegistryAccess, key: LoginKey): Promise<boolean> {
  const existing = await existingLogin(access, key);
  if (existing === undefined) return false;
  context.print(`Authenticating with existing credentials for ${key.text}\n`);
  try {
    await checkLogin(access, key, existing);
  } catch (error) {
    if (!isKind(error, 'denied')) throw error;
    context.print('Existing credentials are invalid, please enter valid username and password\n');
    return false;
  }
  context.print(`Existing credentials are valid. Already logged in to ${key.text}\n`);
  return true;
}

async function complete(
  context: Context,
  key: LoginKey,
  username: string | undefined,
  password: string | undefined,
): Promise<{ username: string; password: string }> {
  const refuse = (state: string): string => `Cannot log in to ${key.text}: ${state}`;
  using asking = new DisposableStack();
  let prompt: Prompt | undefined;
  const ask = (question: string, secret: boolean): Promise<string> => {
    prompt ??= asking.use(
      Prompt.open(context, refuse('there is no terminal to ask at; use --username and --password-stdin')),
    );
    return prompt.ask(question, { secret });
  };
  const name = username ?? (await ask('Username: ', false));
  if (name === '' || name.includes(':')) throw new UsageError(refuse('a user name must be there, without a colon'));
  const secret = password ?? (await ask('Password: ', true));
  if (secret === '') throw new UsageError(refuse('the password is empty'));
  return { username: name, password: secret };
}

/** All of standard input without the end of its last line. Errors: UsageError when it is too long. */
async function readPassword(): Promise<string> {
  const bytes = await readInput(0, MAX_PASSWORD_BYTES);
  if (bytes === undefined) throw new UsageError('Cannot use the password: it is too long');
  return bytes.toString('utf8').replace(/\r?\n$/, '');
}
