/* Gives up all capabilities but these, which have numbers below 32. 0 or -1. */
#pragma once
#include <linux/capability.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <unistd.h>

static inline int keep_capabilities(uint32_t keep) {
  struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
  struct __user_cap_data_struct data[2] = {{.effective = keep, .permitted = keep}};
  return (int)syscall(SYS_capset, &header, data);
}
