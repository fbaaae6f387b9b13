import type { CreateOptions } from '../engine/create-options.ts';
import type { Engine } from '../engine/engine.ts';

/** Makes a container by `act`; with `--pod new:NAME` its pod first. Errors: those of both. */
export async function inPod<T>(
  engine: Engine,
  options: CreateOptions,
  act: (options: CreateOptions) => Promise<T>,
): Promise<T> {
  if (options.pod?.startsWith('new:') !== true) return act(options);
  return (await import('../engine/pods/in-new-pod.ts')).inNewPod(engine, options, act);
}
