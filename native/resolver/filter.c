/* nf_tables, as far as adding elements to two sets goes. */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_log.h>
#include <linux/netlink.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "admit.h"

enum { MESSAGE_BYTES = 32768, PACKET_BYTES = 80, NEW = NFT_MSG_NEWSETELEM, DELETE = NFT_MSG_DELSETELEM };

struct batch {
  size_t len;
  _Alignas(4) uint8_t bytes[MESSAGE_BYTES];
};

int filter_open(void) {
  struct sockaddr_nl anybody = {.nl_family = AF_NETLINK};
  const struct timeval patience = {1, 0};
  int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_NETFILTER);
  if (fd < 0 || bind(fd, (struct sockaddr *)&anybody, sizeof anybody) < 0 ||
      setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience) < 0)
    return -1;
  return fd;
}

/* Room for so many bytes, rounded up, all zero. Whoever asks knows that there is some. */
static uint8_t *room(struct batch *b, size_t len) {
  uint8_t *at = b->bytes + b->len;
  len = NLMSG_ALIGN(len);
  memset(at, 0, len);
  b->len += len;
  return at;
}

static size_t begin_message(struct batch *b, uint16_t type, uint16_t flags, uint8_t family, uint16_t about) {
  size_t at = b->len;
  struct nlmsghdr header = {.nlmsg_type = type, .nlmsg_flags = (uint16_t)(NLM_F_REQUEST | flags)};
  struct nfgenmsg general = {.nfgen_family = family, .res_id = (uint16_t)(about << 8 | about >> 8)};
  memcpy(room(b, sizeof header), &header, sizeof header);
  memcpy(room(b, sizeof general), &general, sizeof general);
  return at;
}

static void end_message(struct batch *b, size_t at) {
  uint32_t len = (uint32_t)(b->len - at);
  memcpy(b->bytes + at, &len, sizeof len);
}

static size_t begin_nested(struct batch *b, uint16_t type) {
  size_t at = b->len;
  struct nlattr head = {.nla_type = (uint16_t)(type | NLA_F_NESTED)};
  memcpy(room(b, sizeof head), &head, sizeof head);
  return at;
}

static void end_nested(struct batch *b, size_t at) {
  uint16_t len = (uint16_t)(b->len - at);
  memcpy(b->bytes + at, &len, sizeof len);
}

static uint8_t *attribute(struct batch *b, uint16_t type, size_t len) {
  struct nlattr head = {.nla_len = (uint16_t)(sizeof head + len), .nla_type = type};
  uint8_t *at = room(b, sizeof head + len);
  memcpy(at, &head, sizeof head);
  return at + sizeof head;
}

static void add_text(struct batch *b, uint16_t type, const char *text) {
  memcpy(attribute(b, type, strlen(text) + 1), text, strlen(text) + 1);
}

static void add_element(struct batch *b, const struct admission *a, bool timed) {
  size_t element = begin_nested(b, NFTA_LIST_ELEM), key = begin_nested(b, NFTA_SET_ELEM_KEY);
  uint8_t *at = attribute(b, NFTA_DATA_VALUE, a->from.len * 2u + 4);
  memcpy(at, a->from.bytes, a->from.len);
  memcpy(at + a->from.len, a->to.bytes, a->from.len);
  at[a->from.len * 2] = (uint8_t)(a->port >> 8);
  at[a->from.len * 2 + 1] = (uint8_t)a->port;
  end_nested(b, key);
  if (timed) {
    uint64_t ms = (uint64_t)a->seconds * 1000;
    at = attribute(b, NFTA_SET_ELEM_TIMEOUT, 8);
    for (int i = 0; i < 8; i++)
      at[i] = (uint8_t)(ms >> (56 - 8 * i));
  }
  end_nested(b, element);
}

static void add_change(struct batch *b, uint16_t message, uint16_t flags, const char *table,
                       const struct admit_request *request, uint8_t family) {
  size_t at = begin_message(b, (uint16_t)(NFNL_SUBSYS_NFTABLES << 8 | message), flags, NFPROTO_INET, 0);
  add_text(b, NFTA_SET_ELEM_LIST_TABLE, table);
  add_text(b, NFTA_SET_ELEM_LIST_SET, family == 4 ? "reach4" : "reach6");
  size_t elements = begin_nested(b, NFTA_SET_ELEM_LIST_ELEMENTS);
  for (uint32_t i = 0; i < request->count; i++)
    if (request->list[i].from.len == family) add_element(b, &request->list[i], message == NEW);
  end_nested(b, elements);
  end_message(b, at);
}

/* The kernel has carried it out when it is sent; what it says of it is there. */
static int result(int netlink) {
  _Alignas(struct nlmsghdr) uint8_t bytes[8192];
  ssize_t n = recv(netlink, bytes, sizeof bytes, 0);
  int error = n < 0 ? errno : EPROTO;
  bool first = true;
  for (; n > 0; n = recv(netlink, bytes, sizeof bytes, MSG_DONTWAIT))
    for (const struct nlmsghdr *h = (const void *)bytes; NLMSG_OK(h, (size_t)n); h = NLMSG_NEXT(h, n)) {
      const struct nlmsgerr *e = NLMSG_DATA(h);
      if (h->nlmsg_type != NLMSG_ERROR || h->nlmsg_len < NLMSG_LENGTH(sizeof *e)) continue;
      if (first || e->error) error = -e->error;
      first = false;
    }
  return error;
}

/* What is logged comes at once, the beginnings of the packets. */
static int configure(int netlink, uint16_t group) {
  struct batch b = {.len = 0};
  size_t at = begin_message(&b, NFNL_SUBSYS_ULOG << 8 | NFULNL_MSG_CONFIG, NLM_F_ACK, AF_UNSPEC, group);
  struct nfulnl_msg_config_cmd command = {.command = NFULNL_CFG_CMD_BIND};
  struct nfulnl_msg_config_mode mode = {.copy_range = htonl(PACKET_BYTES), .copy_mode = NFULNL_COPY_PACKET};
  uint32_t one = htonl(1);
  memcpy(attribute(&b, NFULA_CFG_CMD, sizeof command), &command, sizeof command);
  memcpy(attribute(&b, NFULA_CFG_MODE, sizeof mode), &mode, sizeof mode);
  memcpy(attribute(&b, NFULA_CFG_QTHRESH, sizeof one), &one, sizeof one);
  end_message(&b, at);
  return send(netlink, b.bytes, b.len, 0) < 0 ? errno : result(netlink);
}

int filter_listen(uint16_t group) {
  const struct timespec pause = {0, 1000000};
  int fd = filter_open(), error = fd < 0 ? errno : EBUSY;
  /* One that was killed may still have it for a moment. */
  for (int i = 0; fd >= 0 && error == EBUSY && i < 50; i++) {
    if (i > 0) nanosleep(&pause, NULL);
    error = configure(fd, group);
  }
  if (!error) return fd;
  if (fd >= 0) close(fd);
  errno = error;
  return -1;
}

int filter_admit(int netlink, const char *table, const struct admit_request *request) {
  static struct batch b;
  bool any[17] = {0};
  if (request->count > ADMISSIONS_MAX) return EINVAL;
  for (uint32_t i = 0; i < request->count; i++) {
    const struct admission *a = &request->list[i];
    if ((a->from.len != 4 && a->from.len != 16) || a->to.len != a->from.len) return EINVAL;
    any[a->from.len] = true;
  }
  b.len = 0;
  end_message(&b, begin_message(&b, NFNL_MSG_BATCH_BEGIN, 0, AF_UNSPEC, NFNL_SUBSYS_NFTABLES));
  for (uint8_t family = 4; family <= 16; family += 12) {
    if (!any[family]) continue;
    /* There, then gone, then there with a new time: an element that is there keeps its old one. */
    add_change(&b, NEW, NLM_F_CREATE, table, request, family);
    add_change(&b, DELETE, 0, table, request, family);
    add_change(&b, NEW, NLM_F_CREATE | NLM_F_ACK, table, request, family);
  }
  end_message(&b, begin_message(&b, NFNL_MSG_BATCH_END, 0, AF_UNSPEC, NFNL_SUBSYS_NFTABLES));
  return send(netlink, b.bytes, b.len, 0) < 0 ? errno : result(netlink);
}
