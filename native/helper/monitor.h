/* The monitor of one container: its process, its exec sessions, its clients. One epoll loop, no thread. */
#pragma once
#include <sys/uio.h>

#include "cgroup.h"
#include "frame.h"
#include "log.h"
#include "plan.h"
#include "record.h"
#include "spawn.h"
#include "sync.h"

/* A client's queue; beyond it the streams it reads stop. */
#define QUEUE_MAX (256u * 1024)
#define STDIN_QUEUE_MAX (64u * 1024)
#define READ_BYTES 32768

struct monitor;
struct session;
struct client;

enum source_kind {
  SOURCE_SIGNALS,
  SOURCE_LISTEN,
  SOURCE_TIMER,
  SOURCE_CLIENT,
  SOURCE_SYNC,
  SOURCE_STDIN,
  SOURCE_STDOUT,
  SOURCE_STDERR
};

/* A descriptor in the epoll set; events 0: not in it. */
struct source {
  int fd;
  uint32_t events;
  enum source_kind kind;
  void *owner;
};

struct chunk {
  struct chunk *next;
  uint32_t len, at;
  int fd;
  uint8_t bytes[];
};

struct queue {
  struct chunk *first, *last;
};

/* Why a process could not be made; step NO_STEP: before any. */
struct failure {
  uint32_t step;
  int err;
  struct text text;
};

enum session_state {
  SESSION_NEW,
  SESSION_READY,
  SESSION_EXECUTING,
  SESSION_STARTED,
  SESSION_FAILED,
  SESSION_OVER
};

/* A process with its stdio: the container's, or one of exec. */
struct session {
  struct session *next;
  struct plan plan;
  struct spawned process;
  enum session_state state;
  uint32_t mode;
  bool stdin_open, once, in_eof, detached, exited, checks; /* checks: the container's health */
  struct source sync, in, out, err;
  struct queue pending; /* stdin not yet taken */
  uint32_t pending_bytes;
  struct client *client; /* exec: who asked */
  uint32_t req;
  char id[128]; /* exec: its name in frames */
  bool has_id;
  int status;
  struct exit_info exit;
  struct failure fail;
};

struct client {
  struct client *next;
  struct source source;
  bool control, greeted, wants_in, wants_out, wants_err, paused, takes, stopping, deaf, dead;
  struct session *blocked; /* whose stdin has to drain before more is read */
  uint8_t *in;
  uint32_t in_len, in_size;
  int fds[PLAN_MAX_FDS + 8];
  uint32_t nfds;
  struct chunk *current;        /* partly sent */
  struct queue replies, stream; /* stream: output and what must follow it */
  uint32_t queued, stop_req, health_req;
};

enum phase { PHASE_CREATING = 1, PHASE_CREATED, PHASE_RUNNING, PHASE_EXITED };

enum timer { TIMER_STOP, TIMER_LIMIT, TIMER_RESTART, TIMER_HEALTH, TIMER_HEALTH_LIMIT, TIMERS };

struct restart {
  bool able;    /* the Plan said so: what a start needs is kept */
  bool stopped; /* somebody wants it to end */
  bool asked;   /* once, whatever the policy */
  bool waiting; /* for its next start */
  uint32_t policy, max, count, pause_ms;
};

/* Mount namespaces: ours, and the one that keeps the Plan's mounts; the Plan's own fd table. */
struct nest {
  int outside, inside;
  int kept[PLAN_MAX_FDS];
};

#define HEALTH_OUTPUT_MAX 4096
#define HEALTH_RESULTS 5
#define HEALTH_FDS 32

enum health_status { HEALTH_STARTING, HEALTH_HEALTHY, HEALTH_UNHEALTHY };

struct health {
  bool on, expired, held; /* held: by the freezer when its time was over */
  struct plan plan;
  int given[HEALTH_FDS], fds[HEALTH_FDS];
  uint32_t interval_ms, timeout_ms, start_period_ms, start_interval_ms, retries, action;
  enum health_status status;
  uint32_t streak, results;
  struct timespec began, asked;
  struct session *check;
  char *log[HEALTH_RESULTS]; /* JSON, oldest first */
  size_t output_len;
  char output[HEALTH_OUTPUT_MAX];
};

struct events {
  int dir; /* -1: not told */
  const char *who;
};

struct monitor {
  int epoll, proc;
  struct source signals, listener, timers[TIMERS];
  struct restart restart;
  struct nest nest;
  struct health health;
  struct events events;
  uint32_t limit_ms;
  uint64_t ooms;
  struct session main;
  struct session *execs, *ended;
  struct client *clients, *graves;
  struct log log;
  struct cgroup cgroup;
  enum phase phase;
  bool planned, failed, over, autostart, lease, is_volatile, cleaned, trimmed, stop_asked;
  int state_dir, life, rootfs, listen_dir;
  const char *listen_name;
  char **argv;
  uint32_t stop_signal, stop_timeout_ms;
  struct client *starter;
  uint32_t start_req;
};

/* Before there is a Plan or a client. */
void monitor_blank(struct monitor *m);
_Noreturn void monitor_main(char **argv);

/* loop */
int source_arm(struct monitor *m, struct source *s, uint32_t events);
void source_close(struct monitor *m, struct source *s);

/* monitor-setup.c */
/* Loads the Plan behind fds[0], whose table is the rest, takes the monitor's settings out of it and acts on
 * them. The descriptors of the table are the Plan's from now on. 0, or -1 with main.fail saying where it
 * failed. */
int monitor_configure(struct monitor *m, const int *fds, uint32_t count);
/* Enters the cgroups of OP_LEAVE, as far as it may. On cgroup v2 the kernel takes milliseconds for that: init
 * is at work meanwhile. */
void monitor_leave_session(const struct monitor *m);
/* Closes what only init needed: mounts and namespaces must not be held open here. */
void monitor_close_plan_fds(struct monitor *m);

/* client.c */
struct client *client_add(struct monitor *m, int fd, bool control);
void client_event(struct monitor *m, struct client *c, uint32_t events);
/* Handles the whole frames received so far. */
void client_parse(struct monitor *m, struct client *c);
void client_drop(struct monitor *m, struct client *c);
/* ordered: goes with the stream, after output. fd is duplicated into the frame when >= 0. */
void client_send(struct monitor *m, struct client *c, bool ordered, uint8_t type, const struct iovec *parts,
                 int n, int fd);
/* NULL: every client, here and below. */
void client_reply(struct monitor *m, struct client *c, bool ordered, uint8_t type, const struct frame *f);
void client_number(struct monitor *m, struct client *c, uint8_t type, uint32_t n);
void client_error(struct monitor *m, struct client *c, uint32_t req, int err, const char *text);
void client_failed(struct monitor *m, struct client *c, uint32_t req, const struct failure *fail);

/* request.c: false ends the connection */
void exit_tell(struct monitor *m, struct client *c);
bool request_handle(struct monitor *m, struct client *c, uint8_t type, struct frame_reader *r);

/* session.c */
int session_start(struct monitor *m, struct session *s, const int given[3]);
void session_take_pty(struct monitor *m, struct session *s, int master);
void session_write(struct monitor *m, struct session *s, const uint8_t *bytes, uint32_t len);
void session_stdin_end(struct monitor *m, struct session *s);
void session_stdin_ready(struct monitor *m, struct session *s);
void session_output(struct monitor *m, struct session *s, struct source *from);
/* Reads what is left, past every limit, and closes. */
void session_drain(struct monitor *m, struct session *s);
void session_close(struct monitor *m, struct session *s);
void session_resume(struct monitor *m, struct session *s);
struct session *session_find(struct monitor *m, struct client *c, const char *id, uint32_t len);

/* event.c: attributes are JSON members without braces; NULL: none */
void event_emit(const struct monitor *m, const char *action, const struct text *attributes);
void event_attribute(struct text *t, const char *name, const char *value);
void event_number(struct text *t, const char *name, uint64_t n);
void event_exec(const struct monitor *m, const char *action, const struct session *s);
void event_signal(const struct monitor *m, uint32_t signo);

/* supervise.c */
int timer_set(struct monitor *m, enum timer which, uint32_t ms);
void timer_clear(struct monitor *m, enum timer which);
void timer_fired(struct monitor *m, struct source *t);
/* Whether a container that just ended is to start again. */
bool restart_wanted(struct monitor *m);
/* Writes down how often, and whether it waits for its next start. */
void restart_note(const struct monitor *m);
void restart_schedule(struct monitor *m);
void restart_begin(struct monitor *m);
/* Somebody wants it to end: it does not start again, also when it was about to. */
void restart_forbid(struct monitor *m);
/* SIGTERM: systemd stops the scope, or the machine. As a stop by a user, but a boot may start it again. */
void system_stops(struct monitor *m);

/* nest.c */
int nest_make(struct monitor *m);
/* Puts fresh clones of the mounts into the Plan's fd table. */
int nest_clone(struct monitor *m);
void nest_drop_clones(struct monitor *m);

/* health.c */
int health_configure(struct monitor *m, const struct op *op);
/* The container started; it ended. */
void health_begin(struct monitor *m);
void health_end(struct monitor *m);
/* Starts a check, unless one is on its way. */
void health_check(struct monitor *m);
void health_expired(struct monitor *m);
void health_output(struct monitor *m, const uint8_t *bytes, size_t len);
void health_result(struct monitor *m, const struct session *s);

/* end.c */
/* Its first process is dead, or never came to be. */
void container_over(struct monitor *m);
/* Starts what ended; ends for good what waits for that. */
void container_again(struct monitor *m);
void container_end(struct monitor *m);

/* monitor.c */
int phase_set(struct monitor *m, enum phase next);
/* Starts the command of an op of the Plan. */
void monitor_run(const struct monitor *m, uint32_t code);
/* Runs the hooks of a stage; only the first stage stops at a failure. */
bool hooks_run(struct monitor *m, uint32_t stage);
void monitor_reap(void *monitor);
/* A session whose process is dead. */
void exec_end(struct monitor *m, struct session *s);
int container_start(struct monitor *m);
void container_go(struct monitor *m);
void container_kill(struct monitor *m);
void session_kill(struct session *s, int signo);
void stop_begin(struct monitor *m, uint32_t signo, int32_t timeout_ms);
void container_fail(struct monitor *m, uint32_t step, int err, const char *text);
