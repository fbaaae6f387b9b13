import { existsSync } from 'node:fs';
import { TareError } from '../base/errors.ts';
import { beginChange } from './change.ts';
import { claimName } from './claim-name.ts';
import { containerActor, emit } from './emit.ts';
import type { Engine } from './engine.ts';
import { fileError } from './file-error.ts';
import { checkName, dropName, isSandbox, releaseName, resolveContainer } from './names.ts';
import { reconcile } from './reconcile.ts';
import { containerDir, readRecord } from './record.ts';
import { holdsNetworks } from './holds-networks.ts';
import { nameInStore, settleNames } from './settle-names.ts';

/**
 * Gives a container another name, running or not. It has one of both at every moment: the record says which. Two that want one name: one gets it.
 *
 * Errors: not-found; already-exists, naming the holder; invalid for a bad name, or the one it has.
 */
export async function renameContainer(engine: Engine, nameOrId: string, name: string): Promise<void> {
  checkName(name);
  const id = resolveContainer(engine, nameOrId);
  if (isSandbox(engine, id))
    throw new TareError(
      'unsupported',
      `Cannot rename container ${nameOrId}: it is a pod, whose containers know its name`,
    );
  await reconcile(engine, id);
  using change = await beginChange(engine, id, 'rename');
  const record = readRecord(engine, id);
  if (record.name === name)
    throw new TareError('invalid', `Cannot rename container ${nameOrId}: ${name} is its name already`);
  await settleNames(engine, record);
  await claimName(engine, name, id);
  try {
    await nameInStore(engine, record, name);
    // From here on it is the other name that counts.
    change.writeRecord({ ...record, name });
  } catch (error) {
    releaseName(engine, name, id);
    await nameInStore(engine, record, record.name).catch(() => {});
    throw fileError(error, `rename container ${nameOrId}`);
  }
  dropName(engine, record.name, id);
  if (existsSync(containerDir(engine, id))) {
    if (holdsNetworks(engine, id))
      await (await import('./network-names.ts')).renameInNetworks(engine, { ...record, name });
    const attributes = { oldName: record.name };
    emit(engine, { ...containerActor({ ...record, name }), action: 'rename', attributes });
    return;
  }
  // Removed while we were at it, by somebody who did not know of this name yet.
  releaseName(engine, name, id);
  throw new TareError('not-found', `Cannot rename container ${nameOrId}: it was removed meanwhile`);
}
