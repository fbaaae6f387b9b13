import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { launcher, until } from '../engine/lab.ts';
import { canBeUser, give, UserLab } from './lab.ts';

const skip = canBeUser;
const library = join(import.meta.dirname, '../../src/mod.ts');

function program(lab: UserLab, body: string): string[] {
  const path = join(lab.home, 'app.ts');
  writeFileSync(path, `import { open, TareError } from ${JSON.stringify(library)};\n${body}`);
  give(lab, path);
  return [process.execPath, path];
}

test('open: outside the namespace the error says how to start the program', { skip }, async () => {
  await using lab = new UserLab();
  const argv = program(
    lab,
    'try { await open(); console.log("opened"); } catch (error) { console.log(error instanceof TareError, error.kind, error.message); }',
  );
  const { stdout } = await lab.exec(argv);
  assert.match(stdout, /^true denied Cannot use containers in this process: .*`tare unshare node app\.js`\n$/);
});

test(
  'open: in tare unshare a program runs containers in its user’s places, and its death takes them along',
  { skip },
  async () => {
    await using lab = new UserLab();
    const body = `
    await using tare = await open();
    await using one = await tare.run(${JSON.stringify(lab.source)}, ['id', '-u']);
    let text = '';
    for await (const chunk of one.stdout) text += chunk;
    console.log(text.trim(), (await one.wait()).code, tare.ps().length);
    const two = await tare.run(${JSON.stringify(lab.source)}, ['sleep', '1000'], { name: 'two', userns: 'keep-id' });
    console.log(two.name, two.warnings.length);
    process.kill(process.pid, 'SIGKILL');`;
    const { stdout, stderr } = await lab.exec([launcher, 'unshare', ...program(lab, body)]);
    assert.equal(stdout, '0 0 0\ntwo 0\n', stderr);
    await until(
      () => lab.processes().every(({ command }) => command !== 'sleep 1000'),
      20_000,
      'the container is dead',
    );
    // Its monitor still removes it.
    for (let tries = 0; (await lab.ok('ps', '-aq')) !== ''; tries++) assert.ok(tries < 100, 'it is removed');
  },
);
