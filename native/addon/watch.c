/* Hearing from the event loop when a descriptor can be read or written: what node:net does, without loading
 * it. */
#include "addon.h"
#include <errno.h>
#include <stdlib.h>
#include <uv.h>

struct watch {
  uv_poll_t poll; /* first: libuv hands it back */
  napi_env env;
  napi_ref callback;
  napi_async_context context;
  napi_async_cleanup_hook_handle teardown;
  bool closing;
  bool closed;
  bool collected; /* the JS handle is gone */
};

static void drop(struct watch *watch) {
  if (watch->closed && watch->collected) free(watch);
}

static void on_closed(uv_handle_t *handle) {
  struct watch *watch = (struct watch *)handle;
  watch->closed = true;
  napi_remove_async_cleanup_hook(watch->teardown);
  drop(watch);
}

static void close_watch(struct watch *watch) {
  if (watch->closing) return;
  watch->closing = true;
  uv_poll_stop(&watch->poll);
  napi_delete_reference(watch->env, watch->callback);
  napi_async_destroy(watch->env, watch->context);
  uv_close((uv_handle_t *)&watch->poll, on_closed);
}

static void on_teardown(napi_async_cleanup_hook_handle hook, void *data) {
  (void)hook;
  close_watch(data);
}

static void on_handle_gone(napi_env env, void *data, void *hint) {
  (void)env;
  (void)hint;
  struct watch *watch = data;
  watch->collected = true;
  if (watch->closed)
    drop(watch);
  else
    close_watch(watch);
}

/* What the callback threw: left pending, it would make every later call fail. */
static void raise_uncaught(napi_env env) {
  napi_value error;
  if (napi_get_and_clear_last_exception(env, &error) == napi_ok) napi_fatal_exception(env, error);
}

static void on_event(uv_poll_t *poll, int status, int events) {
  struct watch *watch = (struct watch *)poll;
  napi_env env = watch->env;
  napi_handle_scope scope;
  napi_value callback, receiver, result;
  if (watch->closing || napi_open_handle_scope(env, &scope) != napi_ok) return;
  napi_value value = tare_number(env, status < 0 ? status : events);
  if (napi_get_reference_value(env, watch->callback, &callback) == napi_ok &&
      napi_get_global(env, &receiver) == napi_ok &&
      napi_make_callback(env, watch->context, receiver, callback, 1, &value, &result) ==
          napi_pending_exception)
    raise_uncaught(env);
  napi_close_handle_scope(env, scope);
}

/* watchOpen(fd, callback(events or -errno)): a handle for the others, or -errno. Hears of nothing yet. */
static napi_value watch_open(napi_env env, napi_callback_info info) {
  napi_value args[2], name, handle;
  int64_t fd;
  uv_loop_t *loop;
  if (!tare_args(env, info, args, 2) || tare_int(env, args[0], &fd) < 0 ||
      napi_get_uv_event_loop(env, &loop) != napi_ok)
    return tare_number(env, -EINVAL);
  struct watch *watch = calloc(1, sizeof(*watch));
  if (!watch) return tare_number(env, -ENOMEM);
  watch->env = env;
  int error = uv_poll_init(loop, &watch->poll, (int)fd);
  if (error < 0) {
    free(watch);
    return tare_number(env, error);
  }
  napi_create_string_utf8(env, "tare:watch", NAPI_AUTO_LENGTH, &name);
  napi_create_reference(env, args[1], 1, &watch->callback);
  napi_async_init(env, NULL, name, &watch->context);
  napi_add_async_cleanup_hook(env, on_teardown, watch, &watch->teardown);
  if (napi_create_external(env, watch, on_handle_gone, NULL, &handle) != napi_ok) {
    watch->collected = true;
    close_watch(watch);
    return tare_number(env, -ENOMEM);
  }
  return handle;
}

static struct watch *watch_of(napi_env env, napi_value value) {
  napi_valuetype type;
  void *watch = NULL;
  if (napi_typeof(env, value, &type) != napi_ok || type != napi_external) return NULL;
  napi_get_value_external(env, value, &watch);
  return watch;
}

/* watchSet(handle, events, ref): 1 readable, 2 writable, 0 nothing; `ref` 0: it alone keeps no process alive.
 */
static napi_value watch_set(napi_env env, napi_callback_info info) {
  napi_value args[3];
  int64_t events, ref;
  struct watch *watch;
  if (!tare_args(env, info, args, 3) || !(watch = watch_of(env, args[0])) || watch->closing ||
      tare_int(env, args[1], &events) < 0 || tare_int(env, args[2], &ref) < 0)
    return tare_number(env, -EINVAL);
  if (ref)
    uv_ref((uv_handle_t *)&watch->poll);
  else
    uv_unref((uv_handle_t *)&watch->poll);
  int wanted = (int)events & (UV_READABLE | UV_WRITABLE);
  return tare_number(env,
                     wanted ? uv_poll_start(&watch->poll, wanted, on_event) : uv_poll_stop(&watch->poll));
}

/* watchClose(handle): no more calls; the descriptor may be closed right after. */
static napi_value watch_close(napi_env env, napi_callback_info info) {
  napi_value handle;
  struct watch *watch;
  if (!tare_args(env, info, &handle, 1) || !(watch = watch_of(env, handle))) return tare_number(env, -EINVAL);
  close_watch(watch);
  return tare_number(env, 0);
}

TARE_FUNCTIONS(watch, {"watchOpen", watch_open}, {"watchSet", watch_set}, {"watchClose", watch_close})
