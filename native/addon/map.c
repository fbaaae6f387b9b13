/* Files as memory: nothing is copied, and what is not looked at is not read. For files that never change,
 * like those of the build. */
#include "addon.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/* The file named by the first argument, mapped for good; returns 0 or -errno. Private: a write changes no
 * file. */
static int map_file(napi_env env, napi_callback_info info, void **data, size_t *length) {
  napi_value path_value;
  char path[PATH_MAX + 8];
  struct stat st;
  if (!tare_args(env, info, &path_value, 1)) return -EINVAL;
  int error = tare_string(env, path_value, path, sizeof(path));
  if (error) return error;
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return -errno;
  *data = MAP_FAILED;
  if (fstat(fd, &st) == 0) {
    *length = (size_t)st.st_size;
    *data = mmap(NULL, *length, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
  }
  error = *data == MAP_FAILED ? -errno : 0;
  close(fd);
  return error;
}

/* mapText(path): a string of Latin-1 whose characters are the file's bytes, or -errno. */
static napi_value map_text(napi_env env, napi_callback_info info) {
  void *data;
  size_t length;
  napi_value text;
  bool copied;
  int error = map_file(env, info, &data, &length);
  if (error) return tare_number(env, error);
  if (node_api_create_external_string_latin1(env, data, length, NULL, NULL, &text, &copied) != napi_ok)
    return tare_number(env, -ENOMEM);
  return text;
}

/* mapBytes(path): a Buffer, or -errno. */
static napi_value map_bytes(napi_env env, napi_callback_info info) {
  void *data;
  size_t length;
  napi_value buffer;
  int error = map_file(env, info, &data, &length);
  if (error) return tare_number(env, error);
  if (napi_create_external_buffer(env, length, data, NULL, NULL, &buffer) != napi_ok)
    return tare_number(env, -ENOMEM);
  return buffer;
}

TARE_FUNCTIONS(map, {"mapText", map_text}, {"mapBytes", map_bytes})
