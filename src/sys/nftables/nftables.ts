import type { FdLike } from '../fd.ts';
import { Attributes, malformed, text } from '../netlink/attributes.ts';
import type { Request } from '../netlink/socket.ts';
import { NetlinkSocket } from '../netlink/socket.ts';
import { type Element, isDeletion, nftRequest, NFPROTO_INET, type OthersChain, readComment } from './objects.ts';

const NFNL_MSG_BATCH_BEGIN = 16;
const NFNL_MSG_BATCH_END = 17;
const GENMSG_BYTES = 4;
/** Begin and end name the subsystem they are about. */
const aboutNftables = Uint8Array.of(0, 0, 0, 10);

/** What is known of a chain. */
export interface Chain {
  readonly name: string;
  /** Its rules, and who jumps to it. */
  readonly uses: number;
}

/** A rule of somebody else's chain. */
export interface CommentedRule {
  /** Its number, as the kernel has it. */
  readonly handle: Buffer;
  readonly comment: string;
}

const NF_DROP = 0;

/** The packet filter of a network namespace: what is of the family inet (NFPROTO_INET), and chains of others by name. */
export class Nftables implements Disposable {
  readonly #socket: NetlinkSocket;
  #hasDeleted = false;

  /** Errors: by errno; `unsupported` where the kernel has no nf_tables. */
  constructor(netns?: FdLike) {
    this.#socket = NetlinkSocket.open('netfilter', netns);
  }

  [Symbol.dispose](): void {
    // The kernel frees what was deleted after a grace period of all processors, 10 to 30 ms; whoever closes a socket until then waits for it.
    if (this.#hasDeleted) this.#socket.closeAside();
    else this.#socket[Symbol.dispose]();
  }

  /** Carries all requests out, or none. Errors: of the first that was refused. */
  commit(requests: readonly Request[]): void {
    this.#hasDeleted ||= requests.some(isDeletion);
    const edge = (type: number): Request => ({ type, parts: [aboutNftables], what: 'change the firewall' });
    this.#socket.batch(edge(NFNL_MSG_BATCH_BEGIN), requests, edge(NFNL_MSG_BATCH_END));
  }

  /** The comment of a table, "" without one; undefined: there is no such table. */
  tableComment(table: string): string | undefined {
    const request = nftRequest('getTable', 'find table', table, [text(1, table)]);
    const [answer] = this.#socket.request([{ ...request, allow: ['ENOENT'] }]);
    return answer === undefined ? undefined : (readComment(readTable(answer.payload).bytes(6)) ?? '');
  }

  /** Those of the named chains that are there. */
  chains(table: string, names: readonly string[]): Chain[] {
    const answers = this.#socket.request(
      names.map((name) => ({
        ...nftRequest('getChain', 'find chain', name, [text(1, table), text(3, name)]),
        allow: ['ENOENT'],
      })),
    );
    return answers.map(({ payload }) => {
      const chain = readTable(payload);
      return { name: chain.text(3) ?? '', uses: chain.be32(6) ?? 0 };
    });
  }

  /** Those of the chains that are there and drop what no rule of theirs accepts. */
  dropping(chains: readonly OthersChain[]): OthersChain[] {
    const answers = this.#socket.request(
      chains.map(({ family, table, chain }) => ({
        ...nftRequest('getChain', 'find chain', chain, [text(1, table), text(3, chain)], 0, family),
        allow: ['ENOENT'],
      })),
    );
    const found = new Set(
      answers.flatMap(({ payload }) => (readTable(payload, 'any').be32(5) === NF_DROP ? [payload[0]] : [])),
    );
    return chains.filter(({ family }) => found.has(family));
  }

  /** The rules of a chain that have a comment; nothing when there is no such chain. */
  commented({ family, table, chain }: OthersChain): CommentedRule[] {
    const request = nftRequest('getRule', 'list rules', chain, [text(1, table), text(2, chain)], 0, family);
    try {
      return this.#socket
        .dump(request, (payload) => {
          const rule = readTable(payload, 'any');
          const handle = rule.bytes(3);
          const words = readComment(rule.bytes(7));
          // Not every kernel looks only at what was asked for.
          const isAsked = payload[0] === family && rule.text(1) === table && rule.text(2) === chain;
          return handle === undefined || words === undefined || !isAsked
            ? undefined
            : { handle: Buffer.from(handle), comment: words };
        })
        .filter((rule) => rule !== undefined);
    } catch (error) {
      if ((error as { code?: string }).code === 'ENOENT') return [];
      throw error;
    }
  }

  /** What is in a set or map, verdicts left out; nothing when there is none. */
  elements(table: string, set: string): Element[] {
    const request = nftRequest('getElements', 'list set', set, [text(1, table), text(2, set)]);
    try {
      return this.#socket.dump(request, readElements).flat();
    } catch (error) {
      if ((error as { code?: string }).code === 'ENOENT') return [];
      throw error;
    }
  }
}

function readTable(payload: Buffer, family: 'inet' | 'any' = 'inet'): Attributes {
  if (payload.length < GENMSG_BYTES || (family === 'inet' && payload[0] !== NFPROTO_INET))
    throw malformed('nothing of the family inet');
  return new Attributes(payload.subarray(GENMSG_BYTES));
}

/** A part of a list of elements. Errors: invalid. */
export function readElements(payload: Buffer): Element[] {
  return readTable(payload)
    .list(3)
    .map((bytes): Element => {
      const element = new Attributes(bytes);
      const key = element.nested(1)?.bytes(1);
      if (key === undefined) throw malformed('an element without a key');
      const data = element.nested(2)?.bytes(1);
      const words = readComment(element.bytes(6));
      const left = element.bytes(5);
      return {
        key: Buffer.from(key),
        ...(data === undefined ? {} : { data: Buffer.from(data) }),
        ...((element.be32(3) ?? 0) & 1 ? { isEnd: true } : {}),
        ...(words === undefined ? {} : { comment: words }),
        ...(left === undefined ? {} : { timeoutMs: Number(left.readBigUInt64BE()) }),
      };
    });
}
