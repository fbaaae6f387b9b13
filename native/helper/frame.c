#include "frame.h"

void frame_u32(struct frame *f, uint32_t n) {
  if (f->len + 4 > sizeof f->bytes) return;
  for (int i = 0; i < 4; i++)
    f->bytes[f->len++] = (uint8_t)(n >> 8 * i);
}

void frame_str(struct frame *f, const char *s, size_t len) {
  size_t room = sizeof f->bytes - f->len;
  if (room < 4) return;
  if (len > room - 4) len = room - 4;
  frame_u32(f, (uint32_t)len);
  memcpy(f->bytes + f->len, s, len);
  f->len += (uint32_t)len;
}

uint32_t frame_take_u32(struct frame_reader *r) {
  if (!r->ok || r->end - r->at < 4) {
    r->ok = false;
    return 0;
  }
  const uint8_t *p = r->at;
  r->at += 4;
  return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

const char *frame_take_str(struct frame_reader *r, uint32_t *len) {
  *len = frame_take_u32(r);
  if (!r->ok || (size_t)(r->end - r->at) < *len) {
    r->ok = false;
    *len = 0;
  }
  const char *s = (const char *)r->at;
  r->at += *len;
  return s;
}

bool frame_ended(const struct frame_reader *r) {
  return r->ok && r->at == r->end;
}

int64_t frame_split(const uint8_t *bytes, uint32_t len, uint8_t *type, struct frame_reader *payload) {
  struct frame_reader head = {bytes, bytes + len, true};
  uint32_t rest = frame_take_u32(&head);
  if (!head.ok) return 0;
  if (rest < 1 || rest > FRAME_MAX) return -1;
  if (len - 4 < rest) return 0;
  *type = bytes[4];
  *payload = (struct frame_reader){bytes + 5, bytes + 4 + rest, true};
  return (int64_t)rest + 4;
}
