import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { messageOf } from '../../base/errors.ts';
import { containersWithAttachments } from '../../network/cni/attachments.ts';
import { deleteAllCni } from '../../network/cni/delete.ts';
import { unpinNamespace } from '../../network/pin-namespace.ts';
import { isLifeHeld } from '../../runtime/state.ts';
import { namesIn } from '../delete.ts';
import type { Engine } from '../engine.ts';
import { holdIfFree } from '../hold-life.ts';
import { containerDir } from '../record.ts';
import { cniGround } from './cni-ground.ts';
import { OWED } from './owes-cni.ts';

/**
 * Takes a container that has ended out of its CNI networks. Where a plugin fails, that neither keeps the container from ending nor each command busy with it: the DEL stays due, with the namespace, until the container starts
 * again, is removed, or `network reload`. Idempotent. Returns what went wrong.
 */
export async function leaveCni(engine: Engine, id: string): Promise<unknown> {
  const ground = cniGround(engine);
  try {
    await deleteAllCni(ground, id);
    unpinNamespace(ground.pinDir, id);
    return undefined;
  } catch (error) {
    const dir = join(ground.stateDir, id);
    if (existsSync(dir)) writeFileSync(join(dir, OWED), `${messageOf(error)}\n`, { mode: 0o600 });
    return error;
  }
}

/** Tries again all that is due of containers that do not live. Errors: the first one's, when all were tried. */
export async function leaveOwedCni(engine: Engine): Promise<void> {
  const failures: unknown[] = [];
  const { stateDir, pinDir } = cniGround(engine);
  for (const id of new Set([...containersWithAttachments(stateDir), ...namesIn(pinDir)])) {
    const dir = containerDir(engine, id);
    // One that starts meanwhile does it itself; one that was removed has no life.
    using life = holdIfFree(dir, 'leave networks');
    if (life !== undefined || isLifeHeld(dir) === undefined) failures.push(await leaveCni(engine, id));
  }
  const failure = failures.find((one) => one !== undefined);
  if (failure !== undefined) throw failure as Error;
}
