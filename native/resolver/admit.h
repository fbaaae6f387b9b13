/* What a container with an egress list may reach: addresses that its names had, for as long as they are good.
 * The worker says which, the keeper tells the packet filter. */
#pragma once
#include "table.h"

#define TABLE_NAME_MAX 31
#define ADMISSIONS_MAX 128

/* One way: from the container's address to one, by a port; 0: by any. */
struct admission {
  struct address from, to;
  uint16_t port;
  uint32_t seconds;
};

struct admit_request {
  uint32_t count;
  struct admission list[ADMISSIONS_MAX];
};

/* A socket to the packet filter of our network namespace, opened while we may; -1 with errno. */
int filter_open(void);
/* Another one, which gets what our rules log under that number; -1 with errno. */
int filter_listen(uint16_t group);
/* Adds to the sets reach4 and reach6 of a table; what is there begins anew. 0, or an errno. */
int filter_admit(int netlink, const char *table, const struct admit_request *request);
