/* Frames of the monitor protocol, version 1 (docs/reference/monitor-protocol.md). */
#pragma once
#include "base.h"

#define PROTOCOL_VERSION 1
#define FRAME_MAX (1024u * 1024)

enum frame_type {
  FRAME_HELLO = 1,
  FRAME_ATTACH,
  FRAME_STDIN,
  FRAME_RESIZE,
  FRAME_SIGNAL,
  FRAME_START,
  FRAME_STOP,
  FRAME_EXEC,
  FRAME_REOPEN_LOG,
  FRAME_MOUNT,
  FRAME_TAKE,
  FRAME_DONE,
  FRAME_DETACH,
  FRAME_EXEC_STDIN,
  FRAME_PAUSE_OUTPUT,
  FRAME_PLAN,
  FRAME_HEALTH,
  FRAME_HAND_OVER,
  FRAME_HELLO_BACK = 65,
  FRAME_OK,
  FRAME_ERROR,
  FRAME_READY,
  FRAME_STARTED,
  FRAME_FAILED,
  FRAME_STDOUT,
  FRAME_STDERR,
  FRAME_EXIT,
  FRAME_EXEC_STARTED,
  FRAME_EXEC_STDOUT,
  FRAME_EXEC_STDERR,
  FRAME_EXEC_EXIT,
};

/* A small payload being built. */
struct frame {
  uint32_t len;
  uint8_t bytes[512];
};
void frame_u32(struct frame *f, uint32_t n);
void frame_str(struct frame *f, const char *s, size_t len);

/* A payload being read; ok turns false at the first field that does not fit. */
struct frame_reader {
  const uint8_t *at, *end;
  bool ok;
};
uint32_t frame_take_u32(struct frame_reader *r);
/* The bytes, not terminated; len gets their number. */
const char *frame_take_str(struct frame_reader *r, uint32_t *len);
bool frame_ended(const struct frame_reader *r);

/* The next whole frame in bytes: its size with header, 0 when there is none yet, -1 when it is not allowed.
 */
int64_t frame_split(const uint8_t *bytes, uint32_t len, uint8_t *type, struct frame_reader *payload);
