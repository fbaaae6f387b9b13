/** The virtual machine of a test file that imports this: made and booted before its tests, gone after them. */
import { after, before } from 'node:test';
import { Machine } from '../../tools/vm/machine.ts';
import { guestCheckout } from '../../tools/vm/root.ts';
import { needs } from '../support/needs.ts';

/** Why there can be none here. */
export const skip = needs.root() || needs.program('qemu-system-x86_64', 'qemu-img', 'mmdebstrap', 'mke2fs');
/** The command, in the machine. */
export const tare = `${guestCheckout}/bin/tare`;
/** There while a test runs that is not skipped. */
export let machine: Machine;

before(async () => {
  if (skip !== false) return;
  machine = await Machine.create((line) => console.error(`vm: ${line}`));
  await machine.boot();
});
after(async () => machine?.[Symbol.asyncDispose]());
