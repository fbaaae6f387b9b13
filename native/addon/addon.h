/*
 * tare.node: the system calls Tare needs and Node does not offer. No policy lives here.
 *
 * Every function returns a number: the result of the call, or -errno. Wrong argument types give -EINVAL, so a
 * caller in src/sys has one way to fail. Nothing throws but a failing allocation in Node itself.
 */
#pragma once
#include <node_api.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* A function of the module by name; TARE_FUNCTIONS at the end of each file lists its own. */
struct tare_function {
  const char *name;
  napi_callback call;
};
void tare_define(napi_env env, napi_value exports, const struct tare_function *table, size_t count);
/* The functions of a file, {"name", function}, ...: tare_PART_init gives them to the module. */
#define TARE_FUNCTIONS(part, ...)                                                                            \
  void tare_##part##_init(napi_env env, napi_value exports) {                                                \
    static const struct tare_function table[] = {__VA_ARGS__};                                               \
    tare_define(env, exports, table, sizeof(table) / sizeof(table[0]));                                      \
  }

/* Arguments of the current call, missing ones undefined; false when there are fewer than `count`. */
bool tare_args(napi_env env, napi_callback_info info, napi_value *args, size_t count);

/* Each reads one argument and returns 0 or -errno. Strings may come as JS strings or as bytes, and hold no
 * NUL. */
int tare_int(napi_env env, napi_value value, int64_t *out);
int tare_string(napi_env env, napi_value value, char *out, size_t size);
/* Any ArrayBuffer view; null and undefined give NULL and 0. The memory stays valid until the call returns. */
int tare_bytes(napi_env env, napi_value value, void **data, size_t *length);

/* A JS number. */
napi_value tare_number(napi_env env, int64_t value);

/* Blocks every signal, libc's internal ones included, so that a vfork child runs no handler. */
void tare_block_signals(uint64_t *saved);
void tare_restore_signals(const uint64_t *saved);

/*
 * Runs `child` in a process that shares our memory and has `flags` besides, waits until it exits and reaps
 * exactly it. It has no exit signal: nobody in this process hears of it. Returns 0 or -errno of making it.
 */
int tare_vfork(int (*child)(void *), void *arg, int flags);

/* A process of ours outlives us: wherever we are, somebody reaps those who have nobody. */
extern bool tare_has_orphan;

void tare_calls_init(napi_env env, napi_value exports);
void tare_spawn_init(napi_env env, napi_value exports);
void tare_socket_init(napi_env env, napi_value exports);
void tare_wait_init(napi_env env, napi_value exports);
void tare_watch_init(napi_env env, napi_value exports);
void tare_bpf_init(napi_env env, napi_value exports);
void tare_map_init(napi_env env, napi_value exports);
void tare_remove_init(napi_env env, napi_value exports);
void tare_userns_init(napi_env env, napi_value exports);
void tare_netns_init(napi_env env, napi_value exports);
void tare_aside_init(napi_env env, napi_value exports);
/* The batch layer writer. Weak: the addon also builds without it. */
__attribute__((weak)) napi_value tare_apply_init(napi_env env, napi_value exports);
