/** Damaged forms of a text, for tests of parsers: characters replaced, removed, doubled, swapped, cut off. The same in every run. */
export function* mutations(text: string, count: number, seed = 1): Generator<string> {
  let state = seed;
  const random = (below: number): number => {
    // mulberry32
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) % below;
  };
  const spice = [
    '"',
    '\\',
    '{',
    '}',
    '[',
    ']',
    ',',
    ':',
    '=',
    '\n',
    '\0',
    ' ',
    '0',
    '-1',
    '1e999',
    'null',
    'é',
    '\u2028',
  ];
  for (let made = 0; made < count; made++) {
    let damaged = text;
    for (let times = 1 + random(3); times > 0; times--) {
      const at = random(damaged.length + 1);
      const end = Math.min(damaged.length, at + random(20));
      const middle = [
        '',
        spice[random(spice.length)] ?? '',
        damaged.slice(at, end).repeat(2),
        String.fromCharCode(random(256)),
        damaged.slice(random(damaged.length + 1)).slice(0, 30),
      ][random(5)];
      damaged = damaged.slice(0, at) + (middle ?? '') + (random(20) === 0 ? '' : damaged.slice(end));
    }
    yield damaged;
  }
}
