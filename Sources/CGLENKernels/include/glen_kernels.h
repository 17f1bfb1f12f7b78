#ifndef GLEN_KERNELS_H
#define GLEN_KERNELS_H
int glen_kernels_version(void);
#endif
