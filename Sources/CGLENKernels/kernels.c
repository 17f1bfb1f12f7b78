#include <stdlib.h>

#include "vector_math.h"

_Atomic int glen_chosen_kernels = -1;

int glen_kernel_limit(void) {
  const char *name = getenv("GLEN_CPU_KERNELS");
  if (name) {
    if (!strcmp(name, "portable")) return GLEN_PORTABLE;
    if (!strcmp(name, "neon")) return GLEN_NEON;
    if (!strcmp(name, "avx2")) return GLEN_AVX2;
  }
  return GLEN_AVX512;
}

int glen_choose_kernels(void) {
  int limit = glen_kernel_limit(), kernels = GLEN_PORTABLE;
#if defined(__x86_64__)
  if (limit >= GLEN_AVX512 && __builtin_cpu_supports("x86-64-v4")) {
    kernels = GLEN_AVX512;
  } else if (limit >= GLEN_AVX2 && __builtin_cpu_supports("x86-64-v3")) {
    kernels = GLEN_AVX2;
  }
#else
  (void)limit;
#endif
  __c11_atomic_store(&glen_chosen_kernels, kernels, __ATOMIC_RELAXED);
  return kernels;
}
