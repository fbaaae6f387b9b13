/* Runs batches of the layer writer under the sanitizers: each file named on the command line is one session in an
 * empty directory below the current one. */
#include "apply.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static struct apply apply;

static int run(const char *path, int index) {
  FILE *file = fopen(path, "rb");
  if (!file) return 1;
  fseek(file, 0, SEEK_END);
  long length = ftell(file);
  rewind(file);
  /* Exactly as long as the batch: one byte too far is seen. */
  uint8_t *data = malloc(length > 0 ? (size_t)length : 1);
  if (!data || fread(data, 1, (size_t)length, file) != (size_t)length) return 1;
  fclose(file);
  char dir[32];
  snprintf(dir, sizeof(dir), "root-%d", index);
  int root = mkdir(dir, 0700) == 0 ? open(dir, O_RDONLY | O_DIRECTORY) : -1;
  if (root < 0) return 1;
  apply_begin(&apply, root, (uint32_t)index % 8);
  apply_batch(&apply, data, (size_t)length);
  if (apply.error.number < 0 || apply.error.number > 4095) return 1;
  apply_finish(&apply);
  free(data);
  return 0;
}

int main(int argc, char **argv) {
  for (int i = 1; i < argc; i++) {
    if (run(argv[i], i)) {
      fprintf(stderr, "%s: errno %d\n", argv[i], errno);
      return 1;
    }
    apply = (struct apply){0};
  }
  return 0;
}
