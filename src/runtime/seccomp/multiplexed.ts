/** Calls that i386 programs can also make through socketcall(2) and ipc(2): the number that comes as first argument (linux/net.h, linux/ipc.h). */
const socketCalls =
  'socket bind connect listen accept getsockname getpeername socketpair send recv sendto recvfrom shutdown setsockopt getsockopt sendmsg recvmsg accept4 recvmmsg sendmmsg'.split(
    ' ',
  );

const ipcCalls: Readonly<Record<string, number>> = {
  semop: 1,
  semget: 2,
  semctl: 3,
  semtimedop: 4,
  msgsnd: 11,
  msgrcv: 12,
  msgget: 13,
  msgctl: 14,
  shmat: 21,
  shmdt: 22,
  shmget: 23,
  shmctl: 24,
};

/** The call that carries `name`, and its selector; undefined for a call of its own only. */
export function multiplexer(
  name: string,
): { readonly name: 'socketcall' | 'ipc'; readonly selector: bigint } | undefined {
  const index = socketCalls.indexOf(name);
  if (index >= 0) return { name: 'socketcall', selector: BigInt(index + 1) };
  const selector = Object.hasOwn(ipcCalls, name) ? ipcCalls[name] : undefined;
  return selector === undefined ? undefined : { name: 'ipc', selector: BigInt(selector) };
}
