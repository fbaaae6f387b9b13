/** Containers on networks with names, on a machine in small, with a DNS server of the test's own outside. */
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { join } from 'node:path';
import { NetLab } from './net-lab.ts';

export const support = join(import.meta.dirname, '../support');
export const sleeping = ['host:', 'sleep', '600'];

export class NamesLab extends NetLab {
  constructor() {
    super();
    this.mounts.push('-v', `${support}:/support:ro`);
  }

  /** Starts a container that does nothing; its id. */
  async box(name: string, ...options: string[]): Promise<string> {
    return this.ok('run', '-d', '--name', name, ...options, ...sleeping);
  }

  /** What the resolver says, asked from a container. */
  async dig(from: string, ...words: string[]): Promise<string> {
    return this.ok('exec', from, 'python3', '/support/dns-client.py', ...words);
  }

  /** The address the C library finds, or what it says. */
  async lookUp(from: string, name: string): Promise<string> {
    const program = `import socket
try: print(*sorted({one[4][0] for one in socket.getaddrinfo("${name}", None)}))
except OSError as error: print(error.strerror)`;
    return this.ok('exec', from, 'python3', '-c', program);
  }

  async gateway(network: string): Promise<string> {
    return this.ok('network', 'inspect', '-f', '{{(index .IPAM.Config 0).Gateway}}', network);
  }

  /** Processes of this lab's resolver: the keeper first. */
  resolvers(): number[] {
    const netns = readlinkSync(`/proc/self/fd/${this.ground.machine.number}`);
    return readdirSync('/proc')
      .filter((pid) => /^\d+$/.test(pid))
      .filter((pid) => {
        try {
          return (
            readFileSync(`/proc/${pid}/cmdline`, 'utf8').startsWith('tare-resolver') &&
            readlinkSync(`/proc/${pid}/ns/net`) === netns
          );
        } catch {
          return false;
        }
      })
      .map(Number)
      .sort((a, b) => a - b);
  }

  /** A DNS server outside, 192.0.2.1, or on one more address there. What it was asked is in `asked`. */
  async upstream(address = '192.0.2.1'): Promise<{ asked: string[] }> {
    return { asked: await this.ground.start(this.ground.outside, ['python3', `${support}/dns-server.py`, address]) };
  }
}
