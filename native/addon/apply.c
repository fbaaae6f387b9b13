/* The layer writer's face to JavaScript: one thread per layer, batches in order, one callback per batch. */
#include "apply.h"
#include "addon.h"
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct batch {
  struct batch *next;
  napi_ref buffer; /* keeps the memory alive while the thread reads it */
  uint8_t *data;
  size_t length;
};

struct session {
  pthread_mutex_t mutex;
  pthread_cond_t wake;
  struct batch *first, **last;
  bool ending, joined;
  int references, outstanding; /* touched by the JS thread only */
  pthread_t thread;
  napi_threadsafe_function report;
  struct apply apply;
};

/* The next batch, or NULL when there will be none. */
static struct batch *next_batch(struct session *session) {
  pthread_mutex_lock(&session->mutex);
  while (!session->first && !session->ending)
    pthread_cond_wait(&session->wake, &session->mutex);
  struct batch *batch = session->first;
  if (batch && !(session->first = batch->next)) session->last = &session->first;
  pthread_mutex_unlock(&session->mutex);
  return batch;
}

static void *session_thread(void *data) {
  struct session *session = data;
  for (struct batch *batch; (batch = next_batch(session));) {
    apply_batch(&session->apply, batch->data, batch->length);
    napi_call_threadsafe_function(session->report, batch, napi_tsfn_nonblocking);
  }
  apply_finish(&session->apply);
  napi_call_threadsafe_function(session->report, NULL, napi_tsfn_nonblocking);
  napi_release_threadsafe_function(session->report, napi_tsfn_release);
  return NULL;
}

static void end(struct session *session) {
  pthread_mutex_lock(&session->mutex);
  session->ending = true;
  pthread_cond_signal(&session->wake);
  pthread_mutex_unlock(&session->mutex);
}

static void join(void *data) {
  struct session *session = data;
  if (session->joined) return;
  end(session);
  pthread_join(session->thread, NULL);
  session->joined = true;
}

static void drop(napi_env env, void *data, void *hint) {
  struct session *session = data;
  (void)env;
  (void)hint;
  if (--session->references == 0) free(session);
}

/* JavaScript forgot the handle: the thread ends by itself and is joined on its last report. */
static void on_handle_gone(napi_env env, void *data, void *hint) {
  struct session *session = data;
  if (!session->joined) end(session);
  drop(env, data, hint);
}

/* callback(0) or callback(errno, step, path), once per batch and once more, with no batch, at the end. */
static void on_report(napi_env env, napi_value callback, void *context, void *data) {
  struct session *session = context;
  struct batch *batch = data;
  if (!batch) join(session);
  if (env) {
    const struct apply_error *error = &session->apply.error;
    napi_value args[3], undefined;
    if (batch) napi_delete_reference(env, batch->buffer);
    if (!batch) napi_remove_env_cleanup_hook(env, join, session);
    if (--session->outstanding == 0) napi_unref_threadsafe_function(env, session->report);
    /* Written before this report was queued; once set it never changes. */
    int number = __atomic_load_n(&error->number, __ATOMIC_ACQUIRE);
    napi_get_undefined(env, &undefined);
    args[0] = tare_number(env, number);
    if (number) napi_create_string_utf8(env, error->step, NAPI_AUTO_LENGTH, &args[1]);
    if (number) napi_create_string_latin1(env, error->path, NAPI_AUTO_LENGTH, &args[2]);
    napi_call_function(env, undefined, callback, number ? 3 : 1, args, NULL);
  }
  free(batch);
}

static int start(struct session *session) {
  uint64_t saved;
  tare_block_signals(&saved);
  int error = pthread_create(&session->thread, NULL, session_thread, session);
  tare_restore_signals(&saved);
  return -error;
}

/* applyOpen(dirFd, flags, callback): a handle, or -errno. The directory is duplicated. */
static napi_value apply_open(napi_env env, napi_callback_info info) {
  napi_value args[3], name, handle;
  int64_t dir, flags;
  if (!tare_args(env, info, args, 3) || tare_int(env, args[0], &dir) < 0 ||
      tare_int(env, args[1], &flags) < 0)
    return tare_number(env, -EINVAL);
  apply_owned int root = openat((int)dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (root < 0) return tare_number(env, -errno);
  struct session *session = calloc(1, sizeof(*session));
  if (!session) return tare_number(env, -ENOMEM);
  pthread_mutex_init(&session->mutex, NULL);
  pthread_cond_init(&session->wake, NULL);
  session->last = &session->first;
  session->references = 1;
  session->outstanding = 1; /* the last report */
  apply_begin(&session->apply, root, (uint32_t)flags);
  napi_create_string_utf8(env, "apply", NAPI_AUTO_LENGTH, &name);
  if (napi_create_threadsafe_function(env, args[2], NULL, name, 0, 1, session, drop, session, on_report,
                                      &session->report) != napi_ok) {
    free(session);
    return tare_number(env, -EINVAL);
  }
  session->references++;
  int error = start(session);
  if (error || napi_create_external(env, session, on_handle_gone, NULL, &handle) != napi_ok) {
    if (!error) join(session); /* it closed the directory and released its function */
    if (error) napi_release_threadsafe_function(session->report, napi_tsfn_abort);
    if (!error) root = -1;
    drop(env, session, NULL);
    return tare_number(env, error ? error : -ENOMEM);
  }
  root = -1;
  napi_add_env_cleanup_hook(env, join, session);
  return handle;
}

static struct session *session_of(napi_env env, napi_value handle) {
  napi_valuetype type;
  void *session = NULL;
  if (napi_typeof(env, handle, &type) == napi_ok && type == napi_external)
    napi_get_value_external(env, handle, &session);
  return session;
}

/* applySubmit(handle, bytes): 0 or -errno. The bytes belong to the thread until the batch's callback. */
static napi_value apply_submit(napi_env env, napi_callback_info info) {
  napi_value args[2];
  void *data;
  size_t length;
  if (!tare_args(env, info, args, 2)) return tare_number(env, -EINVAL);
  struct session *session = session_of(env, args[0]);
  if (!session || session->ending || tare_bytes(env, args[1], &data, &length) < 0 || !data)
    return tare_number(env, -EINVAL);
  struct batch *batch = calloc(1, sizeof(*batch));
  if (!batch || napi_create_reference(env, args[1], 1, &batch->buffer) != napi_ok) {
    free(batch);
    return tare_number(env, -ENOMEM);
  }
  batch->data = data;
  batch->length = length;
  session->outstanding++;
  pthread_mutex_lock(&session->mutex);
  *session->last = batch;
  session->last = &batch->next;
  pthread_cond_signal(&session->wake);
  pthread_mutex_unlock(&session->mutex);
  return tare_number(env, 0);
}

/* applyEnd(handle): no further batch; the callback comes once more when all is done and closed. */
static napi_value apply_end(napi_env env, napi_callback_info info) {
  napi_value handle;
  struct session *session = tare_args(env, info, &handle, 1) ? session_of(env, handle) : NULL;
  if (!session) return tare_number(env, -EINVAL);
  end(session);
  return tare_number(env, 0);
}

napi_value tare_apply_init(napi_env env, napi_value exports) {
  static const struct tare_function table[] = {
      {"applyOpen", apply_open}, {"applySubmit", apply_submit}, {"applyEnd", apply_end}};
  tare_define(env, exports, table, sizeof(table) / sizeof(table[0]));
  return exports;
}
