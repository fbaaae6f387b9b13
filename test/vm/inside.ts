import assert from 'node:assert/strict';
import type { TestContext } from 'node:test';
import { guestCheckout, guestUser } from '../../tools/vm/root.ts';
import { repeatTests, type ReportedTest } from '../support/reported-test.ts';
import { machine, tare } from './the-machine.ts';

/** How much slower than a usual machine an emulated one is, for whoever waits (test/engine/lab.ts). */
const SLOWNESS = 10;

/** A user's network warns here: the machine has no way out. Tests of networks have one of their own. */
export const withoutNetwork = { TARE_DEFAULT_NETWORK: 'none' } as const;

/** How tests are run in the machine. */
export interface InsideOptions {
  /** As the delegated user, in the user's namespace, in a unit of the user's systemd. */
  readonly user?: boolean;
  /** Only tests whose title matches. */
  readonly only?: RegExp;
  readonly timeoutMs?: number;
}

/** Runs files below test/ (without .test.ts) in the machine, all in one process; each of their tests becomes one of `t`. */
export async function inside(t: TestContext, files: readonly string[], options: InsideOptions = {}): Promise<void> {
  const results: ReportedTest[] = [];
  const argv = [
    `${guestCheckout}/tools/node`,
    `${guestCheckout}/test/support/run-tests.js`,
    ...(options.only === undefined ? [] : [`--only=${options.only.source}`]),
    ...files.map((name) => `${guestCheckout}/test/${name}.test.js`),
  ];
  const { code, stderr } = await machine.run(options.user === true ? [...asUser, tare, 'unshare', ...argv] : argv, {
    timeoutMs: options.timeoutMs ?? 900_000,
    env: { TARE_TEST_SLOWNESS: String(SLOWNESS), ...withoutNetwork },
    onLine: (line) => void results.push(JSON.parse(line) as ReportedTest),
  });
  await repeatTests(t, results, `exit code ${code}: ${stderr}`);
  assert.equal(code, 0, stderr);
}

/** What runs a command as the delegated user, below the user's own systemd: `await lingers()` first. */
export const asUser: readonly string[] = [
  ...['runuser', '-u', guestUser, '--', 'env', 'XDG_RUNTIME_DIR=/run/user/1000', `HOME=/home/${guestUser}`],
  ...['systemd-run', '--user', '--wait', '--pipe', '--quiet', '-E', `TARE_TEST_SLOWNESS=${SLOWNESS}`],
  ...Object.entries(withoutNetwork).flatMap(([name, value]) => ['-E', `${name}=${value}`]),
];

/** The user's systemd runs, and at boot. */
export async function lingers(): Promise<void> {
  // The socket of one that was stopped may be there a moment longer.
  await machine.sh(`loginctl enable-linger ${guestUser}; systemctl start user@1000
    until runuser -u ${guestUser} -- env XDG_RUNTIME_DIR=/run/user/1000 systemctl --user show-environment >/dev/null 2>&1; do sleep 1; done`);
}
