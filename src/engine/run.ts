import { isKind } from '../base/errors.ts';
import { cancelled, prepareContainer, type CreateHow } from './create.ts';
import type { CreateOptions } from './create-options.ts';
import type { Engine } from './engine.ts';
import { launchContainer } from './launch.ts';
import { deleteContainer } from './delete.ts';
import type { Running } from './running.ts';

export interface RunHow extends CreateHow {
  /** Return as soon as it runs; nobody stays connected. */
  readonly detach: boolean;
  /** When the returned handle's process dies or closes it, the container is killed and removed. */
  readonly owner?: boolean;
}

/**
 * Creates and starts a container. With `detach` the handle is closed already (only id, name, pid and warnings are of use);
 * otherwise output waits for `onOutput` and, after `exit`, `finish()` must be called.
 *
 * Errors: those of `createContainer`; LaunchError when it cannot start; cancelled, also while it starts. In every error case nothing is left behind.
 */
export async function runContainer(engine: Engine, options: CreateOptions, how: RunHow): Promise<Running> {
  using prepared = await prepareContainer(engine, options, how, { owned: how.owner === true, starts: true });
  const { record, config, rootfs, life, warnings, monitor } = prepared;
  try {
    const running = await launchContainer(engine, record, config, rootfs, life, {
      attach: { stdin: record.openStdin && !how.detach, output: !how.detach },
      owner: how.owner === true,
      detach: how.detach,
      warnings,
      ...(monitor === undefined ? {} : { monitor }),
    });
    if (how.signal?.aborted === true) {
      await abandon(engine, running);
      throw cancelled(how.signal);
    }
    if (how.detach) running.close();
    return running;
  } catch (error) {
    // A container of docker's that could not start stays as "created"; one nobody ever saw running is of no use here.
    await deleteContainer(engine, record.id).catch((cleanup: unknown) => {
      if (!isKind(cleanup, 'not-found')) throw new AggregateError([error, cleanup], String(error));
    });
    throw error;
  }
}

/** Kills and removes one that runs already. */
async function abandon(engine: Engine, running: Running): Promise<void> {
  await running.kill(SIGKILL).catch(() => {});
  await running.exit.catch(() => {});
  await deleteContainer(engine, running.id);
  await running.finish();
}

const SIGKILL = 9;
