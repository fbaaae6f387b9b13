/* Device nodes, links, directories, the terminal, the loopback interface. */
#include <linux/magic.h>
#include <linux/mount.h>
#include <linux/openat2.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>

#include "init.h"

int open_tree(int dir, const char *path, unsigned flags);
int move_mount(int from, const char *from_path, int to, const char *to_path, unsigned flags);

#define PTMX_DEVICE makedev(5, 2)

int step_mknod(struct init *in, const struct op *op) {
  const struct field *f = op->f;
  const char *base;
  SCOPED_FD dir = path_parent(init_root(in), f[0].s, &base);
  if (dir < 0) return -1;
  mode_t mode = (mode_t)f[1].n;
  dev_t device = makedev((unsigned)f[2].n, (unsigned)f[3].n);
  if (mknodat(dir, base, mode, device) < 0) {
    struct stat st;
    int err = errno;
    if (err != EEXIST || fstatat(dir, base, &st, AT_SYMLINK_NOFOLLOW) < 0) return fail_with(err);
    bool same = (st.st_mode & S_IFMT) == (mode & S_IFMT) && (S_ISFIFO(mode) || st.st_rdev == device);
    return same ? 0 : fail_with(EEXIST);
  }
  if (!f[4].n && !f[5].n) return 0;
  return fchownat(dir, base, (uid_t)f[4].n, (gid_t)f[5].n, AT_SYMLINK_NOFOLLOW);
}

int step_symlink(struct init *in, const struct op *op) {
  const char *base;
  SCOPED_FD dir = path_parent(init_root(in), op->f[0].s, &base);
  if (dir < 0) return -1;
  if (symlinkat(op->f[1].s, dir, base) == 0) return 0;
  /* Another link in its place was the image's choice; anything else is in the way. */
  struct stat st;
  if (errno != EEXIST || fstatat(dir, base, &st, AT_SYMLINK_NOFOLLOW) < 0) return -1;
  return S_ISLNK(st.st_mode) ? 0 : fail_with(EEXIST);
}

int step_mkdir(struct init *in, const struct op *op) {
  const struct field *f = op->f;
  SCOPED_FD fd = path_make_dirs(init_root(in), f[0].s, (mode_t)f[1].n, (uint32_t)f[2].n, (uint32_t)f[3].n);
  return fd < 0 ? -1 : 0;
}

/* The multiplexer of the container's own devpts, proven to be one. */
static int open_ptmx(struct init *in) {
  SCOPED_FD fd = path_open2(init_root(in), "/dev/pts/ptmx", O_RDWR | O_NOCTTY, 0,
                            RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_SYMLINKS);
  struct stat st;
  struct statfs fs;
  if (fd < 0 || fstat(fd, &st) < 0 || fstatfs(fd, &fs) < 0) return -1;
  if (!S_ISCHR(st.st_mode) || st.st_rdev != PTMX_DEVICE || fs.f_type != DEVPTS_SUPER_MAGIC)
    return fail_with(ENODEV);
  return fd_take(&fd);
}

static int bind_console(struct init *in, int terminal) {
  SCOPED_FD target = path_make_file(init_root(in), "/dev/console", 0600);
  if (target < 0) return -1;
  SCOPED_FD tree = open_tree(terminal, "", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH);
  if (tree < 0) return -1;
  return move_mount(tree, "", target, "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH);
}

int step_tty(struct init *in, const struct op *op) {
  const struct field *f = op->f;
  SCOPED_FD master = open_ptmx(in);
  int unlocked = 0;
  if (master < 0 || ioctl(master, TIOCSPTLCK, &unlocked) < 0) return -1;
  SCOPED_FD terminal = ioctl(master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
  if (terminal < 0) return -1;
  struct winsize size = {.ws_row = (unsigned short)f[0].n, .ws_col = (unsigned short)f[1].n};
  if ((size.ws_row || size.ws_col) && ioctl(master, TIOCSWINSZ, &size) < 0) return -1;
  if (fchown(terminal, (uid_t)f[3].n, (gid_t)-1) < 0) return -1;
  if (f[2].n && bind_console(in, terminal) < 0) return -1;
  if (getsid(0) != getpid() && setsid() < 0) return -1;
  if (ioctl(terminal, TIOCSCTTY, 0) < 0) return -1;
  if (sync_send_fd(in->sync, SYNC_TTY, master) < 0) return -1;
  in->stdio[0] = in->stdio[1] = in->stdio[2] = fd_take(&terminal);
  in->chown_stdio = false;
  return 0;
}

int step_loopback(void) {
  SCOPED_FD sock = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (sock < 0) return -1;
  struct ifreq request = {.ifr_name = "lo"};
  if (ioctl(sock, SIOCGIFFLAGS, &request) < 0) return -1;
  request.ifr_flags |= IFF_UP | IFF_RUNNING;
  return ioctl(sock, SIOCSIFFLAGS, &request);
}
