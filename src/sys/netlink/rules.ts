import { u32 } from './attributes.ts';
import { NLM_F_CREATE, NLM_F_EXCL } from './message.ts';
import type { Request } from './socket.ts';

const RTM_NEWRULE = 32;
const FRA_PRIORITY = 6;
const FRA_FWMARK = 10;
const FRA_TABLE = 15;
const FRA_FWMASK = 16;
const FR_ACT_TO_TBL = 1;
const RULE_BYTES = 12;

/** Packets with a mark are routed by another table. */
export interface MarkRule {
  readonly family: 4 | 6;
  readonly mark: number;
  /** Up to 255. */
  readonly table: number;
  readonly priority: number;
}

/** Adds a rule; that it is there already is fine. */
export function addMarkRule({ family, mark, table, priority }: MarkRule): Request {
  const AF_INET = 2;
  const AF_INET6 = 10;
  const header = Buffer.alloc(RULE_BYTES);
  header.set([family === 4 ? AF_INET : AF_INET6, 0, 0, 0, table, 0, 0, FR_ACT_TO_TBL]);
  return {
    type: RTM_NEWRULE,
    flags: NLM_F_CREATE | NLM_F_EXCL,
    parts: [
      header,
      u32(FRA_PRIORITY, priority),
      u32(FRA_FWMARK, mark),
      u32(FRA_FWMASK, 0xffff_ffff),
      u32(FRA_TABLE, table),
    ],
    what: 'add routing rule',
    of: `of mark ${mark}`,
    allow: ['EEXIST'],
  };
}
