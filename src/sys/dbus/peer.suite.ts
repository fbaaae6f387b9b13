/** The other side of a D-Bus connection for tests: what systemd sends, and a socket that says it. */
import { createServer, type Socket } from 'node:net';
import { marshal, type Value } from './marshal.ts';
import { type Message, MessageReader } from './message.ts';

const variant = (signature: string, value: Value): Value => ({ signature, value });

/** A message with header fields and values. */
export function messageOf(
  type: number,
  fields: readonly Value[],
  signature = '',
  values: readonly Value[] = [],
): Buffer {
  const body = marshal(signature, values);
  const all = signature === '' ? fields : [...fields, [8, variant('g', signature)]];
  const header = marshal('yyyyuua(yv)', ['l'.charCodeAt(0), type, 1, 1, body.length, 7, all]);
  return Buffer.concat([header, Buffer.alloc(-header.length & 7), body]);
}

/** What a method gave back. */
export function replyTo(serial: number, signature = '', values: readonly Value[] = []): Buffer {
  return messageOf(2, [[5, variant('u', serial)]], signature, values);
}

/** Why it gave nothing back. */
export function errorTo(serial: number, name: string, text: string): Buffer {
  const fields = [
    [4, variant('s', name)],
    [5, variant('u', serial)],
  ];
  return messageOf(3, fields, 's', [text]);
}

/** What is told to everybody. */
export function signalOf(from: string, member: string, signature: string, values: readonly Value[]): Buffer {
  const fields = [
    [1, variant('o', '/a')],
    [2, variant('s', from)],
    [3, variant('s', member)],
  ];
  return messageOf(4, fields, signature, values);
}

/** Listens at `path`, lets everybody in, and answers each call with what `answer` returns, its serial counted from 1. `greeting` is the answer to the authentication. */
export async function listenAt(
  path: string,
  answer: (call: Message, serial: number, socket: Socket) => Buffer | undefined,
  greeting = 'OK 0123456789abcdef0123456789abcdef\r\n',
): Promise<AsyncDisposable & { readonly asked: string[] }> {
  const asked: string[] = [];
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    const reader = new MessageReader();
    let serial = 0;
    let begun = false;
    socket.on('error', () => {});
    socket.on('data', (bytes: Buffer) => {
      let rest = bytes;
      if (!begun) {
        asked.push(bytes.toString('latin1'));
        const begin = bytes.indexOf('BEGIN\r\n');
        if (begin < 0) return void socket.write(greeting);
        begun = true;
        rest = bytes.subarray(begin + 'BEGIN\r\n'.length);
      }
      for (const call of reader.push(rest)) {
        const bytesBack = answer(call, ++serial, socket);
        if (bytesBack !== undefined) socket.write(bytesBack);
      }
    });
  });
  await new Promise<void>((resolve) => server.listen(path, resolve));
  return {
    asked,
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
