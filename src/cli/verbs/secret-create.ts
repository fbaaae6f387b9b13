import { resolve } from 'node:path';
import { TareError } from '../../base/errors.ts';
import { fileError } from '../../engine/file-error.ts';
import { openReadOnly } from '../../engine/open-read-only.ts';
import { createSecret, MAX_SECRET_BYTES } from '../../engine/secrets/store.ts';
import type { Context } from '../context.ts';
import { UsageError } from '../usage-error.ts';
import { pairsOf } from '../pairs.ts';
import { readInput } from '../read-input.ts';
import { defineVerb } from '../verb.ts';

/** `tare secret create`: prints the id. */
export const verb = defineVerb({
  usage: '[OPTIONS] NAME FILE|-',
  flags: {
    driver: {
      type: 'text',
      short: 'd',
      choices: ['file', 'pass'],
      standard: 'file',
      help: 'Where the value is kept: in a file that only you can read, or encrypted by gpg in a password store',
    },
    'driver-opts': { type: 'list', value: 'KEY=VALUE', help: 'pass: root=DIR, key=KEY, gpghomedir=DIR' },
    env: { type: 'switch', help: 'Take the value from the environment variable that is named instead of a file' },
    label: { type: 'list', short: 'l', value: 'KEY=VALUE', help: 'Attach a label' },
    replace: { type: 'switch', help: 'Give one of that name the new value' },
    ignore: { type: 'switch', help: 'One of that name is no error, and stays as it is' },
  },
  args: { min: 2, max: 2 },
  errorCode: 125,
  examples: [
    ['secret create db-password ./password.txt', 'From a file'],
    ['secret create --env token CI_TOKEN', 'From a variable'],
    ['secret create --replace db-password -', 'A new value, from standard input'],
  ],
  async run(context, values, [name = '', from = '']) {
    if (values.replace === true && values.ignore === true)
      throw new UsageError('Cannot use --replace and --ignore together');
    const value = values.env === true ? variable(context, name, from) : await read(context, name, from);
    const id = await createSecret(context.engine, name, value, {
      driver: values.driver === 'pass' ? 'pass' : 'file',
      driverOptions: pairsOf('--driver-opts', values['driver-opts'], 'KEY=VALUE'),
      labels: pairsOf('--label', values.label, 'KEY=VALUE'),
      replace: values.replace === true,
      ignoreExisting: values.ignore === true,
    });
    context.print(`${id}\n`);
    return 0;
  },
});

function variable(context: Context, name: string, from: string): Buffer {
  const value = context.env[from];
  if (value === undefined) throw new UsageError(`Cannot create secret ${name}: there is no variable ${from} here`);
  return Buffer.from(value);
}

async function read(context: Context, name: string, from: string): Promise<Buffer> {
  const doing = `create secret ${name}`;
  try {
    using file = from === '-' ? undefined : openReadOnly(resolve(context.cwd, from), doing);
    const value = await readInput(file ?? 0, MAX_SECRET_BYTES);
    if (value !== undefined) return value;
  } catch (error) {
    throw fileError(error, doing);
  }
  throw new TareError('invalid', `Cannot ${doing}: ${from} is longer than ${MAX_SECRET_BYTES} bytes`);
}
