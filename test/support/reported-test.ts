import assert from 'node:assert/strict';
import type { TestContext } from 'node:test';

/** What became of one test in another process (run-tests.ts), a line of JSON. */
export interface ReportedTest {
  readonly name: string;
  readonly file: string;
  readonly ms: number;
  readonly skip?: string;
  readonly error?: string;
}

/** Makes each of them a test of `t`'s. At least one must have run. */
export async function repeatTests(t: TestContext, results: readonly ReportedTest[], otherwise: string): Promise<void> {
  for (const { name, file, error, skip } of results) {
    await t.test(`${file}: ${name}`, { skip: skip ?? false }, () => {
      if (error !== undefined) throw new Error(error);
    });
  }
  assert.ok(
    results.some(({ skip }) => skip === undefined),
    `no test ran: ${otherwise}`,
  );
}
