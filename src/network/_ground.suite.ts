/** A machine in small, for tests: a network namespace with bridges in it, one that is the outside, and containers that are nothing but namespaces. */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { needs } from '../../test/support/needs.ts';
import type { Fd } from '../sys/fd.ts';
import { addAddress } from '../sys/netlink/addresses.ts';
import { addLink, findLink, links, setLink } from '../sys/netlink/links.ts';
import { addRoute } from '../sys/netlink/routes.ts';
import { NetlinkSocket } from '../sys/netlink/socket.ts';
import { networkNamespace } from '../sys/network-namespace.ts';
import { parseAddress } from '../spec/ip.ts';
import type { NetworkPlaces } from './network-places.ts';

export const canNet = { skip: needs.root() || needs.program('nft', 'ip', 'nsenter', 'python3') };

/** Tells everybody who connects (or sends something) what their address is. */
export const server = `
import socket, sys, threading
def serve(kind, port):
    s = socket.socket(socket.AF_INET6, kind)
    s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
    s.bind(("::", port))
    if kind == socket.SOCK_DGRAM:
        while True:
            data, peer = s.recvfrom(100)
            s.sendto(peer[0].replace("::ffff:", "").encode(), peer)
    s.listen(200)
    while True:
        c, peer = s.accept()
        c.sendall(peer[0].replace("::ffff:", "").encode())
        c.close()
for kind, port in [(socket.SOCK_STREAM, 80), (socket.SOCK_DGRAM, 53)]:
    threading.Thread(target=serve, args=(kind, port)).start()
print("ready", flush=True)
`;

/** Prints how it is seen from there, or what went wrong. */
const client = `
import socket, sys
host, port, kind = sys.argv[1], int(sys.argv[2]), sys.argv[3]
try:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    s = socket.socket(family, socket.SOCK_STREAM if kind == "tcp" else socket.SOCK_DGRAM)
    s.settimeout(float(sys.argv[4]))
    s.connect((host, port))
    if kind == "udp": s.send(b"?")
    print(s.recv(100).decode())
except OSError as e:
    print("no: " + type(e).__name__)
`;

export class Ground implements Disposable {
  readonly dir = mkdtempSync(join(tmpdir(), 'tare-ground-'));
  /** The machine's own namespace, with eth0 to the outside (192.0.2.1, fd01::1); the machine is 192.0.2.2, fd01::2. */
  readonly machine: Fd = networkNamespace();
  readonly outside: Fd = networkNamespace();
  readonly dead = new Set<string>();
  readonly places: NetworkPlaces = {
    records: join(this.dir, 'records'),
    run: join(this.dir, 'run'),
    table: 'tare',
    netns: this.machine,
    isAlive: (container) => !this.dead.has(container),
  };
  readonly #servers: ChildProcess[] = [];
  readonly #namespaces: Fd[] = [];

  constructor() {
    using machine = NetlinkSocket.open('route', this.machine);
    using outside = NetlinkSocket.open('route', this.outside);
    machine.request([
      addLink({ name: 'eth0', up: true }, { kind: 'veth', peer: { name: 'eth0', netns: this.outside } }),
    ]);
    for (const [socket, last] of [
      [outside, 1],
      [machine, 2],
    ] as const) {
      const index = findLink(socket, 'eth0')?.index ?? 0;
      socket.request([
        setLink(1, { up: true }),
        setLink(index, { up: true }),
        addAddress({ address: Uint8Array.of(192, 0, 2, last), prefix: 24, index }),
        addAddress({ address: parseAddress(`fd01::${last}`), prefix: 64, index }),
      ]);
    }
    machine.request([
      addRoute({ to: new Uint8Array(4), prefix: 0, gateway: Uint8Array.of(192, 0, 2, 1) }),
      addRoute({ to: new Uint8Array(16), prefix: 0, gateway: parseAddress('fd01::1') }),
    ]);
  }

  /** A container's network namespace. */
  namespace(): Fd {
    const netns = networkNamespace();
    this.#namespaces.push(netns);
    return netns;
  }

  /** Waits until that many links of containers are there. */
  async links(count: number): Promise<void> {
    const end = performance.now() + 10_000;
    for (;;) {
      using socket = NetlinkSocket.open('route', this.machine);
      const found = links(socket).filter(({ kind, name }) => kind === 'veth' && name !== 'eth0');
      if (found.length === count) return;
      if (performance.now() > end)
        throw new Error(`there are ${found.map(({ name }) => name).join(', ')}, not ${count}`);
      await sleep(5);
    }
  }

  /** Listens in a namespace: TCP 80, UDP 53. */
  async serve(netns: Fd): Promise<void> {
    const child = spawn('nsenter', [netnsFlag(netns), 'python3', '-c', server], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    this.#servers.push(child);
    await once(child.stdout, 'data');
  }

  /** Runs a program there until the ground is gone; it has said its first line when this returns. Its further ones come into the list. */
  async start(netns: Fd, argv: readonly string[]): Promise<string[]> {
    const child = spawn('nsenter', [netnsFlag(netns), ...argv], { stdio: ['ignore', 'pipe', 'inherit'] });
    this.#servers.push(child);
    const lines: string[] = [];
    const output = createInterface(child.stdout);
    const ended = once(output, 'close').then(() => {
      throw new Error(`${argv.join(' ')} ended before it said that it is ready`);
    });
    await Promise.race([once(output, 'line'), ended]);
    ended.catch(() => {});
    output.on('line', (line) => lines.push(line));
    return lines;
  }

  /** The client's address as the server there sees it, or what went wrong. */
  ask(netns: Fd, host: string, port = 80, kind: 'tcp' | 'udp' = 'tcp', seconds = 1): string {
    return this.run(netns, 'python3', '-c', client, host, String(port), kind, String(seconds)).trim();
  }

  run(netns: Fd, ...argv: readonly string[]): string {
    // What it complains of is part of the error, and not printed: some are meant to fail.
    return execFileSync('nsenter', [netnsFlag(netns), ...argv], { encoding: 'utf8', stdio: 'pipe' });
  }

  [Symbol.dispose](): void {
    for (const child of this.#servers) child.kill('SIGKILL');
    for (const netns of [this.machine, this.outside, ...this.#namespaces]) netns.close();
    rmSync(this.dir, { recursive: true, force: true });
  }
}

export const netnsFlag = (netns: Fd): string => `--net=/proc/${process.pid}/fd/${netns.number}`;
