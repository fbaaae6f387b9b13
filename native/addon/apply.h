/*
 * The batch layer writer: executes the file operations that src/sys/apply.ts encodes, beneath one directory.
 * It knows nothing of tar. All names are resolved in the directory as if it were the root.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Kept in step with src/sys/apply.ts. All numbers are little endian, nothing is aligned, strings end in NUL.
 */
enum apply_op {
  APPLY_DIR = 1,  /* path, meta */
  APPLY_FILE,     /* path: creates it and makes it the open file */
  APPLY_DATA,     /* u32 length, bytes: to the open file */
  APPLY_END,      /* meta, u64 for the CRC (big endian, written back): finishes the open file */
  APPLY_SYMLINK,  /* path, meta, target */
  APPLY_LINK,     /* path, meta, target */
  APPLY_NODE,     /* path, meta, u32 major, u32 minor */
  APPLY_WHITEOUT, /* path, meta */
  APPLY_OPAQUE,   /* path */
  APPLY_TIMES,    /* path, i64 seconds, u32 nanoseconds: of a directory */
  APPLY_HOLE,     /* i64 length: zeros that are not written, in the open file */
};

enum apply_flags {
  APPLY_USER_XATTR = 1, /* overlayfs marks as user.overlay.*, for mounts in a user namespace */
  APPLY_NO_DEVICES = 2, /* device nodes are skipped */
  APPLY_CRC = 4,        /* compute CRC-64/ISO of every file */
};

enum {
  apply_cached = 16,
  apply_path_max = 4096,
  apply_unnamed_max = 100000, /* directories of one layer that no entry describes */
};

struct apply_dir {
  int fd;
  uint32_t used;
  uint16_t length;
  char path[apply_path_max];
};

/* What failed: a step's name, errno, and the path it was about. */
struct apply_error {
  int number;
  const char *step;
  char path[apply_path_max];
};

struct apply_crc {
  uint64_t table[8][256];
};

/* State of one layer being written. Used by its thread alone. */
struct apply {
  int root;
  int file;
  uint32_t flags;
  uint32_t clock;
  uint32_t unnamed; /* directories made for entries beneath them */
  bool stale;       /* something was taken away that a cached path may lead through */
  uint64_t crc;
  char file_path[apply_path_max];
  struct apply_error error;
  struct apply_dir dirs[apply_cached];
  struct apply_crc tables;
};

void apply_begin(struct apply *apply, int root, uint32_t flags);
void apply_finish(struct apply *apply);
/* Executes one batch; false when apply->error is set. Further batches then do nothing. */
bool apply_batch(struct apply *apply, uint8_t *data, size_t length);

void apply_crc_init(struct apply_crc *crc);
uint64_t apply_crc_update(const struct apply_crc *crc, uint64_t value, const uint8_t *data, size_t length);

/* A directory of the layer, symbolic links resolved inside it; the fd belongs to the cache. */
enum apply_missing { APPLY_FAIL, APPLY_CREATE, APPLY_CREATE_UNLESS_WHITEOUT };
int apply_dir_open(struct apply *apply, const char *path, size_t length, enum apply_missing missing);
void apply_dir_keep(struct apply *apply, const char *path, size_t length, int fd);
void apply_dir_forget(struct apply *apply);
bool apply_is_whiteout(int dir, const char *name);
int apply_make_opaque(const struct apply *apply, int dir);

void apply_close(const int *fd);
#define apply_owned __attribute__((cleanup(apply_close)))
