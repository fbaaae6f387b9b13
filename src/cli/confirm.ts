import type { Context } from './context.ts';

/** Says what will happen and asks whether it may; `force` is the answer already. Errors: UsageError without a terminal to ask. */
export async function confirm(context: Context, force: boolean, warning: string): Promise<boolean> {
  if (force) return true;
  const { Prompt } = await import('./prompt.ts');
  using prompt = Prompt.open(context, 'Cannot ask whether to delete: there is no terminal; use --force');
  context.complain(warning);
  return /^y(es)?$/i.test(await prompt.ask('Are you sure you want to continue? [y/N] '));
}
