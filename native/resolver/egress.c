/* Containers with an egress list: which names they may ask for, and that they reach what those had. */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "resolver.h"

enum { SECONDS_MIN = 60, SECONDS_MAX = 86400, ADDRESSES_MAX = 32 };

static bool is_of(const struct domain *d, const struct query *q) {
  if (!q->textual) return false;
  if (!d->below) return q->name_len == d->name_len && memcmp(q->name, d->name, d->name_len) == 0;
  size_t start = q->name_len - d->name_len;
  return q->name_len > d->name_len + 1u && q->name[start - 1] == '.' &&
         memcmp(q->name + start, d->name, d->name_len) == 0;
}

bool egress_asks(const struct container *c, const struct query *q) {
  for (uint32_t i = 0; i < c->domain_count; i++)
    if (is_of(&c->domains[i], q)) return true;
  return false;
}

/* Names that lead to the machine itself, or to whatever is on the same wire, lead nowhere. */
static bool is_elsewhere(const struct address *a) {
  static const uint8_t none[16] = {0}, mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
  if (a->len == 4)
    return a->bytes[0] != 0 && a->bytes[0] != 127 && a->bytes[0] < 224 &&
           !(a->bytes[0] == 169 && a->bytes[1] == 254);
  return memcmp(a->bytes, none, 15) != 0 && memcmp(a->bytes, mapped, 12) != 0 && a->bytes[0] != 0xff &&
         !(a->bytes[0] == 0xfe && (a->bytes[1] & 0xc0) == 0x80);
}

static bool tell_keeper(const struct resolver *r, const struct admit_request *request) {
  int32_t error = EIO;
  size_t len = offsetof(struct admit_request, list) + request->count * sizeof request->list[0];
  if (request->count == 0) return true;
  if (send(r->keeper, request, len, MSG_NOSIGNAL) != (ssize_t)len) return false;
  return recv(r->keeper, &error, sizeof error, 0) == sizeof error && error == 0;
}

/* Two domains of a list can mean the same, and an answer can have an address twice: the packet filter wants
 * each once. */
static void admit(struct admit_request *request, const struct admission *wanted) {
  for (uint32_t i = 0; i < request->count; i++) {
    struct admission *one = &request->list[i];
    if (one->port != wanted->port || !address_equal(&one->to, &wanted->to) ||
        !address_equal(&one->from, &wanted->from))
      continue;
    if (one->seconds < wanted->seconds) one->seconds = wanted->seconds;
    return;
  }
  request->list[request->count++] = *wanted;
}

bool egress_admit(const struct resolver *r, const struct container *c, const struct query *q,
                  const uint8_t *answer, size_t len) {
  static struct admit_request request;
  struct found found[ADDRESSES_MAX];
  uint32_t count = answer_addresses(answer, len, found, ADDRESSES_MAX);
  bool good = true;
  request.count = 0;
  for (uint32_t i = 0; i < count; i++)
    for (uint32_t d = 0; d < c->domain_count; d++)
      for (uint32_t own = 0; own < c->own_count; own++) {
        const struct address *from = &c->own[own];
        if (!is_of(&c->domains[d], q) || from->len != found[i].address.len ||
            !is_elsewhere(&found[i].address))
          continue;
        uint32_t seconds = found[i].seconds < SECONDS_MIN   ? SECONDS_MIN
                           : found[i].seconds > SECONDS_MAX ? SECONDS_MAX
                                                            : found[i].seconds;
        admit(&request, &(struct admission){*from, found[i].address, c->domains[d].port, seconds});
        if (request.count < ADMISSIONS_MAX) continue;
        good = tell_keeper(r, &request) && good;
        request.count = 0;
      }
  return tell_keeper(r, &request) && good;
}
