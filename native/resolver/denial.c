#include "denial.h"

#include <arpa/inet.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_log.h>
#include <linux/netlink.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "resolver.h"

enum { EVENT_BYTES = 4096, TCP = 6, UDP = 17, SCTP = 132 };

static uint64_t mix(uint64_t h, const void *bytes, size_t len) {
  for (size_t i = 0; i < len; i++)
    h = (h ^ ((const uint8_t *)bytes)[i]) * 0x100000001b3u;
  return h;
}

/* Whether it is worth telling: not the same again, and not too many. */
static bool is_news(struct denials *d, uint64_t what) {
  uint64_t now = now_ms(), gained = (now - d->last) * DENIALS_SECOND / 1000;
  size_t at = what % DENIALS_KNOWN;
  if (d->known[at].what == what && d->known[at].until_ms > now) return false;
  if (gained > 0) {
    d->room = gained > DENIALS_BURST - d->room ? DENIALS_BURST : d->room + (uint32_t)gained;
    d->last = now;
  }
  if (d->room == 0) return false;
  d->room--;
  d->known[at].what = what;
  d->known[at].until_ms = now + DENIAL_AGAIN_MS;
  return true;
}

static void tell(struct denials *d, const struct container *c, uint64_t what, const char *attributes) {
  char line[EVENT_BYTES];
  struct timespec now;
  struct tm utc;
  struct stat st;
  /* A file without a name is one that nobody reads any more. */
  if (d->events < 0 || c->actor_len == 0 || fstat(d->events, &st) < 0 || st.st_nlink == 0) return;
  if (!is_news(d, mix(what, c->id, c->id_len))) return;
  clock_gettime(CLOCK_REALTIME, &now);
  if (!gmtime_r(&now.tv_sec, &utc)) return;
  int len = snprintf(line, sizeof line,
                     "{\"time\":\"%04d-%02d-%02dT%02d:%02d:%02d.%09ldZ\",\"action\":\"deny\",\"attributes\":{"
                     "%s},%.*s}\n",
                     utc.tm_year + 1900, utc.tm_mon + 1, utc.tm_mday, utc.tm_hour, utc.tm_min, utc.tm_sec,
                     now.tv_nsec, attributes, (int)c->actor_len, c->actor);
  if (len > 0 && len < (int)sizeof line && write(d->events, line, (size_t)len) < 0) return;
}

void denial_name(struct denials *d, const struct container *c, const uint8_t *name, size_t len) {
  char attributes[NAME_BYTES + 16];
  size_t at = (size_t)snprintf(attributes, sizeof attributes, "\"domain\":\"");
  for (size_t i = 0; i < len; i++) {
    bool plain = (name[i] >= 'a' && name[i] <= 'z') || (name[i] >= '0' && name[i] <= '9') ||
                 (name[i] && strchr(".-_*", name[i]));
    attributes[at++] = plain ? (char)name[i] : '?';
  }
  attributes[at++] = '"';
  attributes[at] = 0;
  tell(d, c, mix(1, name, len), attributes);
}

void denial_packet(struct denials *d, const struct table *t, const struct denied_packet *p) {
  char attributes[160], address[INET6_ADDRSTRLEN], port[32] = "";
  const struct container *c = NULL;
  for (uint32_t i = 0; i < t->container_count && !c; i++)
    if (t->containers[i].id_len == p->container_len &&
        memcmp(t->containers[i].id, p->container, p->container_len) == 0)
      c = &t->containers[i];
  if (!c || !inet_ntop(p->to.len == 4 ? AF_INET : AF_INET6, p->to.bytes, address, sizeof address)) return;
  const char *name = p->protocol == TCP    ? "tcp"
                     : p->protocol == UDP  ? "udp"
                     : p->protocol == SCTP ? "sctp"
                                           : NULL;
  char number[8];
  snprintf(number, sizeof number, "%u", p->protocol);
  if (name) snprintf(port, sizeof port, ",\"port\":\"%u\"", p->port);
  snprintf(attributes, sizeof attributes, "\"address\":\"%s\"%s,\"protocol\":\"%s\"", address, port,
           name ? name : number);
  tell(d, c, mix(2, attributes, strlen(attributes)), attributes);
}

static bool read_packet(const uint8_t *bytes, size_t len, struct denied_packet *out) {
  size_t header = len >= 20 && bytes[0] >> 4 == 4 ? (bytes[0] & 15u) * 4 : 40;
  if (len >= 20 && bytes[0] >> 4 == 4) {
    out->to.len = 4;
    memcpy(out->to.bytes, bytes + 16, 4);
    out->protocol = bytes[9];
    if ((bytes[6] & 0x1f) || bytes[7]) header = len;
  } else if (len >= 40 && bytes[0] >> 4 == 6) {
    out->to.len = 16;
    memcpy(out->to.bytes, bytes + 24, 16);
    out->protocol = bytes[6];
  } else
    return false;
  if (len >= header + 4) out->port = (uint16_t)(bytes[header + 2] << 8 | bytes[header + 3]);
  return true;
}

bool denial_read(const uint8_t *message, size_t len, struct denied_packet *out) {
  size_t at = sizeof(struct nfgenmsg);
  bool has_packet = false;
  memset(out, 0, sizeof *out);
  while (at + sizeof(struct nlattr) <= len) {
    struct nlattr head;
    memcpy(&head, message + at, sizeof head);
    if (head.nla_len < sizeof head || head.nla_len > len - at) return false;
    const uint8_t *data = message + at + sizeof head;
    size_t size = head.nla_len - sizeof head;
    if ((head.nla_type & NLA_TYPE_MASK) == NFULA_PREFIX) {
      out->container = (const char *)data;
      out->container_len = strnlen((const char *)data, size);
    }
    if ((head.nla_type & NLA_TYPE_MASK) == NFULA_PAYLOAD) has_packet = read_packet(data, size, out);
    at += NLMSG_ALIGN(head.nla_len);
  }
  return has_packet && out->container;
}
