import { closeSync, openSync, readSync } from 'node:fs';
import { resolve } from 'node:path';
import { TareError } from '../../base/errors.ts';
import { createSecret, MAX_SECRET_BYTES } from '../../engine/secrets/store.ts';
import type { Context } from '../context.ts';
import { UsageError } from '../usage-error.ts';
import { pairsOf } from '../values.ts';
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
    const value = values.env === true ? variable(context, name, from) : read(context, name, from);
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

/** One byte more than is allowed shows that it is too long. */
function read(context: Context, name: string, from: string): Buffer {
  const value = Buffer.alloc(MAX_SECRET_BYTES + 1);
  let length = 0;
  try {
    const fd = from === '-' ? 0 : openSync(resolve(context.cwd, from), 'r');
    try {
      for (let count = 1; count > 0 && length < value.length; length += count)
        count = readSync(fd, value, length, value.length - length, null);
    } finally {
      if (fd !== 0) closeSync(fd);
    }
  } catch (cause) {
    const why = (cause as NodeJS.ErrnoException).code === 'ENOENT' ? 'no such file' : String(cause);
    throw new TareError('not-found', `Cannot create secret ${name}: ${from}: ${why}`, { cause });
  }
  return value.subarray(0, length);
}
