/* The private talk between the monitor and the process it makes, over a SOCK_SEQPACKET pair that exec closes.
 */
#pragma once
#include "base.h"

enum sync_type {
  /* process -> monitor */
  SYNC_PID = 1,     /* value: the pid an intermediate process made */
  SYNC_BARRIER = 2, /* value: BARRIER_*; waits for SYNC_GO */
  SYNC_TTY = 3,     /* carries the pty master */
  SYNC_EXEC = 4,    /* exec follows: from now on the end of the socket means success */
  SYNC_FAIL = 5,    /* value: step; err and text say why */
  /* monitor -> process */
  SYNC_GO = 6,
};

#define NO_STEP 0xffffffffu

struct sync_message {
  uint32_t type;
  uint32_t value;
  int32_t err;
  uint32_t len;
  char text[sizeof(((struct text *)0)->s)];
};

int sync_send(int sock, uint32_t type, uint32_t value);
int sync_send_fd(int sock, uint32_t type, int fd);
void sync_fail(int sock, uint32_t step, int err, const char *text);
/* Blocks for SYNC_GO; -1 when the monitor is gone. */
int sync_wait_go(int sock);
/* 1: a message (fd is a descriptor it carried, or -1); 0: the other side is gone; -1: nothing there, or an
 * error. */
int sync_receive(int sock, struct sync_message *m, int *fd);
