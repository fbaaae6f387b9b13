import { isV6 } from '../spec/ip.ts';
import { isErrno } from '../sys/error.ts';
import { compare, counter, linkName, meta, NFPROTO_IPV4, NFPROTO_IPV6, verdict } from '../sys/nftables/expressions.ts';
import type { Nftables } from '../sys/nftables/nftables.ts';
import { appendRule, deleteRule, type OthersChain } from '../sys/nftables/objects.ts';
import type { NetworkRules } from './firewall.ts';

/** Where iptables has its rules about what is sent on, and docker and ufw set a policy of drop. */
const forwardChain = (family: number): OthersChain => ({ family, table: 'filter', chain: 'FORWARD' });
const both = [NFPROTO_IPV4, NFPROTO_IPV6].map(forwardChain);

const SIDES = ['iifname', 'oifname'] as const;

const commentOf = (bridge: string): string => `tare network ${bridge}`;

/**
 * Lets packets of our networks pass where iptables' FORWARD chain drops what none of its rules accepts: by two rules for each bridge at its end, so that each rule of others comes first. What may come in and go out is then up to
 * our own table. Idempotent; where the policy is another one, nothing is done.
 */
export function acceptForward(nft: Nftables, networks: readonly NetworkRules[]): void {
  if (networks.length === 0) return;
  for (const chain of nft.dropping(both)) {
    const v6 = chain.family === NFPROTO_IPV6;
    const concerned = networks.filter(
      ({ internal, subnets }) => !internal && subnets.some(({ address }) => isV6(address) === v6),
    );
    if (concerned.length === 0) continue;
    const present = nft.commented(chain);
    const requests = concerned.flatMap(({ bridge }) => {
      const ours = present.filter(({ comment }) => comment === commentOf(bridge));
      if (ours.length === SIDES.length) return [];
      const rules = SIDES.map((side) => [meta(side), compare('is', linkName(bridge)), counter(), verdict('accept')]);
      return [
        ...ours.map(({ handle }) => deleteRule(chain, handle)),
        ...rules.map((rule) => appendRule(chain, rule, commentOf(bridge))),
      ];
    });
    try {
      nft.commit(requests);
    } catch (error) {
      // Somebody took the chain away.
      if (!isErrno(error, 'ENOENT')) throw error;
    }
  }
}

/** Takes these rules back. Idempotent. */
export function forgetForward(nft: Nftables, bridge: string): void {
  for (const chain of both) {
    const ours = nft.commented(chain).filter(({ comment }) => comment === commentOf(bridge));
    try {
      nft.commit(ours.map(({ handle }) => deleteRule(chain, handle)));
    } catch (error) {
      // Somebody took them away.
      if (!isErrno(error, 'ENOENT')) throw error;
    }
  }
}
