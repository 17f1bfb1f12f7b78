// The few functions of NVIDIA's driver, NVRTC and cuBLAS that the backend calls, found at run time:
// nothing of CUDA is needed to build. The declarations are our own; the names are the libraries'.
#ifndef GLEN_CUDA_H
#define GLEN_CUDA_H

#include "glen_attention.h"
#include "glen_parameters.h"
#include "glen_search.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef unsigned long long glen_cuda_address;

// X(result, name, parameters) for each function of a library.
#define GLEN_CUDA_DRIVER(X) \
  X(int, cuInit, (unsigned flags)) \
  X(int, cuDriverGetVersion, (int *version)) \
  X(int, cuDeviceGetCount, (int *count)) \
  X(int, cuDeviceGet, (int *device, int ordinal)) \
  X(int, cuDeviceGetName, (char *name, int length, int device)) \
  X(int, cuDeviceGetAttribute, (int *value, int attribute, int device)) \
  X(int, cuDeviceTotalMem_v2, (unsigned long *bytes, int device)) \
  X(int, cuDevicePrimaryCtxRetain, (void **context, int device)) \
  X(int, cuDevicePrimaryCtxRelease_v2, (int device)) \
  X(int, cuCtxSetCurrent, (void *context)) \
  X(int, cuGetErrorString, (int error, const char **text)) \
  X(int, cuMemAlloc_v2, (glen_cuda_address *address, unsigned long bytes)) \
  X(int, cuMemFree_v2, (glen_cuda_address address)) \
  X(int, cuMemcpyHtoDAsync_v2, \
    (glen_cuda_address to, const void *from, unsigned long bytes, void *stream)) \
  X(int, cuMemcpyDtoHAsync_v2, \
    (void *to, glen_cuda_address from, unsigned long bytes, void *stream)) \
  X(int, cuMemcpyDtoDAsync_v2, \
    (glen_cuda_address to, glen_cuda_address from, unsigned long bytes, void *stream)) \
  X(int, cuMemsetD32Async, \
    (glen_cuda_address to, unsigned value, unsigned long count, void *stream)) \
  X(int, cuStreamCreate, (void **stream, unsigned flags)) \
  X(int, cuStreamDestroy_v2, (void *stream)) \
  X(int, cuStreamSynchronize, (void *stream)) \
  X(int, cuEventCreate, (void **event, unsigned flags)) \
  X(int, cuEventDestroy_v2, (void *event)) \
  X(int, cuEventRecord, (void *event, void *stream)) \
  X(int, cuEventSynchronize, (void *event)) \
  X(int, cuEventElapsedTime, (float *milliseconds, void *begin, void *end)) \
  X(int, cuStreamBeginCapture_v2, (void *stream, int mode)) \
  X(int, cuStreamEndCapture, (void *stream, void **graph)) \
  X(int, cuGraphInstantiateWithFlags, \
    (void **executable, void *graph, unsigned long long flags)) \
  X(int, cuGraphLaunch, (void *executable, void *stream)) \
  X(int, cuGraphExecDestroy, (void *executable)) \
  X(int, cuGraphDestroy, (void *graph)) \
  X(int, cuModuleLoadData, (void **module, const void *image)) \
  X(int, cuModuleUnload, (void *module)) \
  X(int, cuModuleGetFunction, (void **function, void *module, const char *name)) \
  X(int, cuLaunchKernel, \
    (void *function, unsigned blocks_x, unsigned blocks_y, unsigned blocks_z, unsigned threads_x, \
     unsigned threads_y, unsigned threads_z, unsigned shared_bytes, void *stream, \
     void **arguments, void **extra))

#define GLEN_CUDA_NVRTC(X) \
  X(int, nvrtcVersion, (int *major, int *minor)) \
  X(int, nvrtcCreateProgram, \
    (void **program, const char *source, const char *name, int count, \
     const char *const *headers, const char *const *names)) \
  X(int, nvrtcDestroyProgram, (void **program)) \
  X(int, nvrtcCompileProgram, (void *program, int count, const char *const *options)) \
  X(int, nvrtcGetProgramLogSize, (void *program, unsigned long *bytes)) \
  X(int, nvrtcGetProgramLog, (void *program, char *log)) \
  X(int, nvrtcGetCUBINSize, (void *program, unsigned long *bytes)) \
  X(int, nvrtcGetCUBIN, (void *program, char *code)) \
  X(const char *, nvrtcGetErrorString, (int error))

#define GLEN_CUDA_BLAS(X) \
  X(int, cublasCreate_v2, (void **handle)) \
  X(int, cublasDestroy_v2, (void *handle)) \
  X(int, cublasSetMathMode, (void *handle, int mode)) \
  X(int, cublasSetStream_v2, (void *handle, void *stream)) \
  X(int, cublasSetWorkspace_v2, (void *handle, void *workspace, unsigned long bytes)) \
  X(int, cublasGemmStridedBatchedEx, \
    (void *handle, int transpose_a, int transpose_b, int m, int n, int k, const void *alpha, \
     const void *a, int a_type, int a_stride, long long a_step, const void *b, int b_type, \
     int b_stride, long long b_step, const void *beta, void *c, int c_type, int c_stride, \
     long long c_step, int count, int compute_type, int algorithm))

#define GLEN_CUDA_MEMBER(result, name, parameters) result(*name) parameters;

#pragma clang assume_nonnull begin
#pragma clang diagnostic push
#pragma clang diagnostic ignored "-Wnullability-completeness"

typedef struct glen_cuda_driver {
  GLEN_CUDA_DRIVER(GLEN_CUDA_MEMBER)
} glen_cuda_driver;

typedef struct glen_cuda_nvrtc {
  GLEN_CUDA_NVRTC(GLEN_CUDA_MEMBER)
} glen_cuda_nvrtc;

typedef struct glen_cuda_blas {
  GLEN_CUDA_BLAS(GLEN_CUDA_MEMBER)
} glen_cuda_blas;

#pragma clang diagnostic pop

// A library's functions, or null where it is not to be found; `tried` then says what was tried, and
// what the loader said of the last. A library is looked for once and stays loaded.
//
// Looked at, in this order: the folders that GLEN_CUDA_PATH names (colons between them) and
// VIRTUAL_ENV, each as a folder of libraries, a CUDA toolkit, a Python environment, or its
// site-packages; the loader's own places; /usr/local/cuda.
const glen_cuda_driver *_Nullable glen_cuda_load_driver(const char *_Nullable *_Nonnull tried);
const glen_cuda_nvrtc *_Nullable glen_cuda_load_nvrtc(const char *_Nullable *_Nonnull tried);
const glen_cuda_blas *_Nullable glen_cuda_load_blas(const char *_Nullable *_Nonnull tried);

// The kernels' sources, which end with a zero byte: the files that `all.cu` includes, and itself.
// None where the compiler knows no `#embed`.
typedef struct glen_cuda_source {
  const char *name, *text;
} glen_cuda_source;
long glen_cuda_source_count(void);
glen_cuda_source glen_cuda_source_at(long index);

#pragma clang assume_nonnull end

#ifdef __cplusplus
}
#endif

#endif
