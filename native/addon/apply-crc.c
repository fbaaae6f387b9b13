/* CRC-64/ISO as tar-split wants it, eight bytes at a time. */
#include "apply.h"
#include <string.h>

void apply_crc_init(struct apply_crc *crc) {
  for (unsigned i = 0; i < 256; i++) {
    uint64_t value = i;
    for (int bit = 0; bit < 8; bit++)
      value = value & 1 ? value >> 1 ^ 0xd800000000000000u : value >> 1;
    crc->table[0][i] = value;
  }
  for (unsigned n = 1; n < 8; n++)
    for (unsigned i = 0; i < 256; i++) {
      uint64_t previous = crc->table[n - 1][i];
      crc->table[n][i] = crc->table[0][previous & 0xff] ^ previous >> 8;
    }
}

uint64_t apply_crc_update(const struct apply_crc *crc, uint64_t value, const uint8_t *data, size_t length) {
  const uint64_t(*t)[256] = crc->table;
  value = ~value;
  for (; length >= 8; data += 8, length -= 8) {
    uint64_t word;
    memcpy(&word, data, 8);
    value ^= word;
    value = t[7][value & 0xff] ^ t[6][value >> 8 & 0xff] ^ t[5][value >> 16 & 0xff] ^
            t[4][value >> 24 & 0xff] ^ t[3][value >> 32 & 0xff] ^ t[2][value >> 40 & 0xff] ^
            t[1][value >> 48 & 0xff] ^ t[0][value >> 56];
  }
  for (; length > 0; data++, length--)
    value = t[0][(value ^ *data) & 0xff] ^ value >> 8;
  return ~value;
}
