#include "glen_kernels.h"
int glen_kernels_version(void) { return 1; }
