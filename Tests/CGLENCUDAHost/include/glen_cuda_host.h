// The driver, NVRTC and cuBLAS as the tests' stand-ins: device memory is host memory that begins as
// NaN, kernels are the same sources compiled as C++, and a product is three loops over column-major
// matrices. So everything above the tables of functions is what runs on a device.
#ifndef GLEN_CUDA_HOST_H
#define GLEN_CUDA_HOST_H

#include "glen_cuda.h"

#ifdef __cplusplus
extern "C" {
#endif

#pragma clang assume_nonnull begin

const glen_cuda_driver *glen_host_driver(void);
const glen_cuda_nvrtc *glen_host_nvrtc(void);
const glen_cuda_blas *glen_host_blas(void);

// Whether the warps of a block, and the threads of a warp, run from the last to the first between two
// barriers, and copies to shared memory arrive at once: where that changes a result, a barrier is missing.
void glen_host_reverse_threads(int is_reversed);

#pragma clang assume_nonnull end

#ifdef __cplusplus
}
#endif

#endif
