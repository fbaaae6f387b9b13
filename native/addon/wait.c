/* Waiting for a file lock on a thread of its own, so that neither the event loop nor libuv's pool is held up.
 */
#include "addon.h"
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

struct wait {
  int fd; /* ours: the caller may close theirs meanwhile */
  struct flock lock;
  int result;
  bool joined;
  int references; /* the JS handle and the thread-safe function; touched by the JS thread only */
  pthread_t thread;
  napi_threadsafe_function report;
};

static pthread_once_t signal_once = PTHREAD_ONCE_INIT;
static int wake_signal;

static void on_wake(int signal) {
  (void)signal;
}

/* A realtime signal nobody uses, handled without SA_RESTART so that it ends a blocking fcntl. */
static void choose_signal(void) {
  for (int signal = SIGRTMAX - 2; signal > SIGRTMIN; signal--) {
    struct sigaction old;
    if (sigaction(signal, NULL, &old) < 0 || old.sa_handler != SIG_DFL) continue;
    struct sigaction action = {.sa_handler = on_wake};
    sigemptyset(&action.sa_mask);
    if (sigaction(signal, &action, NULL) == 0) wake_signal = signal;
    return;
  }
}

static void drop(struct wait *wait) {
  if (--wait->references == 0) free(wait);
}

static void *wait_thread(void *data) {
  struct wait *wait = data;
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, wake_signal);
  pthread_sigmask(SIG_UNBLOCK, &set, NULL);
  wait->result = fcntl(wait->fd, F_OFD_SETLKW, &wait->lock) < 0 ? -errno : 0;
  close(wait->fd);
  napi_threadsafe_function report = wait->report;
  napi_call_threadsafe_function(report, wait, napi_tsfn_nonblocking);
  napi_release_threadsafe_function(report, napi_tsfn_release);
  return NULL;
}

/*
 * Race-free: the poison is written before the signal is sent. A thread that has not entered the kernel yet
 * reads the poison there and fails with EINVAL; one that has is interrupted, EINTR.
 */
static void interrupt(struct wait *wait) {
  if (wait->joined) return;
  *(volatile short *)&wait->lock.l_whence = 99;
  __atomic_thread_fence(__ATOMIC_SEQ_CST);
  pthread_kill(wait->thread, wake_signal);
}

static void join(struct wait *wait) {
  if (!wait->joined) pthread_join(wait->thread, NULL);
  wait->joined = true;
}

/* The environment ends (a worker is terminated) while a thread waits. */
static void on_teardown(void *data) {
  interrupt(data);
  join(data);
}

static void on_report(napi_env env, napi_value callback, void *context, void *data) {
  struct wait *wait = data;
  (void)context;
  join(wait);
  if (!env) return;
  napi_remove_env_cleanup_hook(env, on_teardown, wait);
  napi_value result = tare_number(env, wait->result), undefined;
  napi_get_undefined(env, &undefined);
  napi_call_function(env, undefined, callback, 1, &result, NULL);
}

static void on_report_gone(napi_env env, void *data, void *hint) {
  (void)env;
  (void)hint;
  drop(data);
}

static void on_handle_gone(napi_env env, void *data, void *hint) {
  (void)env;
  (void)hint;
  drop(data);
}

static int start_thread(struct wait *wait) {
  pthread_attr_t attributes;
  uint64_t saved;
  pthread_attr_init(&attributes);
  pthread_attr_setstacksize(&attributes, 64 * 1024);
  /* The thread inherits a full mask: no signal of the process is ever delivered to it. */
  tare_block_signals(&saved);
  int error = pthread_create(&wait->thread, &attributes, wait_thread, wait);
  tare_restore_signals(&saved);
  pthread_attr_destroy(&attributes);
  return -error;
}

/* lockWait(fd, type, callback(result)): a handle for lockCancel, or -errno. The lock covers the whole file.
 */
static napi_value lock_wait(napi_env env, napi_callback_info info) {
  napi_value args[3], name, handle;
  int64_t fd, type;
  if (!tare_args(env, info, args, 3) || tare_int(env, args[0], &fd) < 0 || tare_int(env, args[1], &type) < 0)
    return tare_number(env, -EINVAL);
  pthread_once(&signal_once, choose_signal);
  if (!wake_signal) return tare_number(env, -EAGAIN);
  struct wait *wait = calloc(1, sizeof(*wait));
  if (!wait) return tare_number(env, -ENOMEM);
  wait->lock = (struct flock){.l_type = (short)type, .l_whence = SEEK_SET};
  wait->references = 1;
  int error = 0;
  if ((wait->fd = fcntl((int)fd, F_DUPFD_CLOEXEC, 0)) < 0) {
    error = -errno;
    free(wait);
    return tare_number(env, error);
  }
  napi_create_string_utf8(env, "lockWait", NAPI_AUTO_LENGTH, &name);
  if (napi_create_threadsafe_function(env, args[2], NULL, name, 0, 1, wait, on_report_gone, NULL, on_report,
                                      &wait->report) != napi_ok) {
    close(wait->fd);
    free(wait);
    return tare_number(env, -EINVAL);
  }
  wait->references++;
  if ((error = start_thread(wait)) < 0) {
    wait->joined = true;
    close(wait->fd);
    napi_release_threadsafe_function(wait->report, napi_tsfn_abort);
    drop(wait);
    return tare_number(env, error);
  }
  napi_add_env_cleanup_hook(env, on_teardown, wait);
  if (napi_create_external(env, wait, on_handle_gone, NULL, &handle) != napi_ok) {
    interrupt(wait);
    drop(wait);
    return tare_number(env, -ENOMEM);
  }
  return handle;
}

/* lockCancel(handle): ends the wait; its callback gets -EINTR or -EINVAL, or 0 when the lock came first. */
static napi_value lock_cancel(napi_env env, napi_callback_info info) {
  napi_value handle;
  napi_valuetype type;
  void *wait;
  if (!tare_args(env, info, &handle, 1) || napi_typeof(env, handle, &type) != napi_ok ||
      type != napi_external || napi_get_value_external(env, handle, &wait) != napi_ok)
    return tare_number(env, -EINVAL);
  interrupt(wait);
  return tare_number(env, 0);
}

TARE_FUNCTIONS(wait, {"lockWait", lock_wait}, {"lockCancel", lock_cancel})
