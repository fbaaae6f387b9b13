/* The mount API by descriptors. */
#pragma once
#include <fcntl.h>
#include <linux/mount.h>
#include <stddef.h>

/* Declared here: <sys/mount.h> and <linux/mount.h> do not go together everywhere. */
int umount2(const char *target, int flags);
int open_tree(int dir, const char *path, unsigned flags);
int move_mount(int from, const char *from_path, int to, const char *to_path, unsigned flags);
int fsopen(const char *type, unsigned flags);
int fsconfig(int fs, unsigned command, const char *key, const void *value, int aux);
int fsmount(int fs, unsigned flags, unsigned attrs);
int mount_setattr(int dir, const char *path, unsigned flags, struct mount_attr *attr, size_t size);

#define PROPAGATION_SLAVE (1u << 19)

/* Attaches a detached mount at an open directory or file. */
static inline int mount_attach(int mount, int target) {
  return move_mount(mount, "", target, "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH);
}
