#include "glen_cuda.h"

#include <dlfcn.h>
#include <glob.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { message_size = 4096, path_size = 4096, most_functions = 64 };

typedef struct {
  const char *file_names[4];
  const char *symbols[most_functions];
  void *functions[most_functions];
  int has_looked, is_loaded;
  char tried[message_size];
} library;

#define NAME(result, name, parameters) #name,

static library driver = {{"libcuda.so.1", "libcuda.so"}, {GLEN_CUDA_DRIVER(NAME)}};
static library nvrtc = {
    {"libnvrtc.so.13", "libnvrtc.so.12", "libnvrtc.so"}, {GLEN_CUDA_NVRTC(NAME)}};
static library blas = {
    {"libcublas.so.13", "libcublas.so.12", "libcublas.so"}, {GLEN_CUDA_BLAS(NAME)}};

static void note(library *self, const char *text) {
  size_t used = strlen(self->tried);
  snprintf(self->tried + used, sizeof self->tried - used, "%s%s", used ? ", " : "", text);
}

// Opens one file; the loader's words are kept where the file is there and yet cannot be loaded.
static int open_file(library *self, const char *path) {
  void *handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
  if (!handle) {
    const char *reason = dlerror();
    note(self, strchr(path, '/') && reason ? reason : path);
    return 0;
  }
  for (int i = 0; self->symbols[i]; i++) {
    self->functions[i] = dlsym(handle, self->symbols[i]);
    if (!self->functions[i]) {
      char text[path_size];
      snprintf(text, sizeof text, "%s (has no %s)", path, self->symbols[i]);
      note(self, text);
      dlclose(handle);
      return 0;
    }
  }
  return 1;
}

// Looks for the library below one folder.
static int open_below(library *self, const char *folder) {
  static const char *const below[] = {
      "", "/lib", "/lib64", "/nvidia/*/lib", "/lib/python*/site-packages/nvidia/*/lib", 0};
  for (int place = 0; below[place]; place++) {
    for (int name = 0; self->file_names[name]; name++) {
      char pattern[path_size];
      snprintf(pattern, sizeof pattern, "%s%s/%s", folder, below[place], self->file_names[name]);
      glob_t found;
      int is_open = 0;
      if (glob(pattern, 0, 0, &found) == 0)
        for (size_t i = 0; i < found.gl_pathc && !is_open; i++)
          is_open = open_file(self, found.gl_pathv[i]);
      globfree(&found);
      if (is_open) return 1;
    }
  }
  return 0;
}

static int open_folders(library *self, const char *variable) {
  const char *value = getenv(variable);
  if (!value || !*value) return 0;
  char folders[path_size], *rest = folders;
  snprintf(folders, sizeof folders, "%s", value);
  for (char *folder; (folder = strsep(&rest, ":"));)
    if (*folder && open_below(self, folder)) return 1;
  note(self, variable);
  return 0;
}

static int load(library *self) {
  static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
  pthread_mutex_lock(&lock);
  // Once, whatever comes of it: others may be reading what was tried.
  if (!self->has_looked) {
    self->is_loaded = open_folders(self, "GLEN_CUDA_PATH") || open_folders(self, "VIRTUAL_ENV");
    for (int name = 0; self->file_names[name] && !self->is_loaded; name++)
      self->is_loaded = open_file(self, self->file_names[name]);
    if (!self->is_loaded) self->is_loaded = open_below(self, "/usr/local/cuda");
    self->has_looked = 1;
  }
  pthread_mutex_unlock(&lock);
  return self->is_loaded;
}

const glen_cuda_driver *glen_cuda_load_driver(const char **tried) {
  int is_loaded = load(&driver);
  *tried = driver.tried;
  return is_loaded ? (const glen_cuda_driver *)driver.functions : 0;
}

const glen_cuda_nvrtc *glen_cuda_load_nvrtc(const char **tried) {
  int is_loaded = load(&nvrtc);
  *tried = nvrtc.tried;
  return is_loaded ? (const glen_cuda_nvrtc *)nvrtc.functions : 0;
}

const glen_cuda_blas *glen_cuda_load_blas(const char **tried) {
  int is_loaded = load(&blas);
  *tried = blas.tried;
  return is_loaded ? (const glen_cuda_blas *)blas.functions : 0;
}
