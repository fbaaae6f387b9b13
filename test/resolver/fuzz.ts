/**
 * Fuzzes what the resolver of names parses (its table, questions, answers) with libFuzzer and AddressSanitizer: `tools/node test/resolver/fuzz.ts [SECONDS]`.
 * Needs clang (Debian: clang libclang-rt-14-dev). Exit 0: nothing found; 77: clang is missing; else libFuzzer's own.
 */
import { mkdtempDisposableSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { encodeContainer, encodeTable } from '../../src/network/name-table.ts';
import { nativeSources, runFuzzer } from '../support/sanitizers.ts';

const seconds = Number(process.argv[2] ?? 60);
using dir = mkdtempDisposableSync(join(tmpdir(), 'tare-resolver-fuzz-'));

const addresses = [
  { address: '10.9.0.2', prefix: 24, gateway: '10.9.0.1' },
  { address: 'fd09::2', prefix: 64, gateway: 'fd09::1' },
];
const container = (id: string): Buffer =>
  encodeContainer({
    id,
    relays: true,
    servers: ['9.9.9.9'],
    domains: [
      { name: 'a', below: false, port: 80 },
      { name: 'example.org', below: true },
    ],
    actor: '"id":"a"',
    places: [
      { bridge: 'br', named: true, addresses, names: ['a', 'b', 'a.net'] },
      { bridge: 'other', named: false, addresses: addresses.slice(0, 1), names: [id] },
    ],
  });
const table = encodeTable(['9.9.9.9', 'fd00::1'], new Map(['a', 'c'].map((id) => [id, container(id)])));

function seeds(): Buffer[] {
  const name = (text: string): Buffer =>
    Buffer.concat([
      ...text.split('.').map((label) => Buffer.from(`${String.fromCharCode(label.length)}${label}`)),
      Buffer.of(0),
    ]);
  const query = (text: string, type: number): Buffer =>
    Buffer.concat([
      Buffer.from('012301000001000000000001', 'hex'),
      name(text),
      Buffer.of(0, type, 0, 1),
      Buffer.from('0000290200000000000000', 'hex'),
    ]);
  const question = query('a', 1);
  const reply = Buffer.concat([
    Buffer.from('012381800001000100000000', 'hex'),
    question.subarray(12, 19),
    Buffer.from('c00c000100010000000000040a090002', 'hex'),
  ]);
  const attribute = (type: number, data: Buffer): Buffer =>
    Buffer.concat([Buffer.of(4 + data.length, 0, type, 0), data, Buffer.alloc(-data.length & 3)]);
  const packet = Buffer.concat([
    Buffer.of(2, 0, 0, 5),
    attribute(10, Buffer.from('abc\0')),
    attribute(9, Buffer.from('4500003c00004000400600000a0900020a090003d43100500000000000000000', 'hex')),
  ]);
  return [
    Buffer.concat([Buffer.of(0), table.subarray(12)]),
    ...[
      query('a', 1),
      query('b', 28),
      query('a.net', 255),
      query('2.0.9.10.in-addr.arpa', 12),
      query(`2.${'0.'.repeat(27)}9.0.d.f.ip6.arpa`, 12),
    ].map((one) => Buffer.concat([Buffer.of(1), one])),
    Buffer.concat([Buffer.of(3), packet]),
    Buffer.concat([Buffer.of(2, question.length), question, reply]),
  ];
}

writeFileSync(join(dir.path, 'table.inc'), table.join(','));
process.exitCode = runFuzzer({
  name: 'tare-resolver-fuzz',
  dir: dir.path,
  sources: [
    join(import.meta.dirname, 'fuzz-target.c'),
    ...nativeSources('resolver', (name) => ['table.c', 'message.c', 'denial.c'].includes(name)),
  ],
  includes: [join(import.meta.dirname, '../../native/resolver'), dir.path],
  seeds: seeds(),
  maxBytes: 2048,
  seconds,
});
