#include "launch.h"

#include <chrono>
#include <cstdlib>
#include <functional>
#include <vector>

namespace {

// The error codes that the stand-ins give: CUDA's of the same meaning.
enum { success = 0, invalid_value = 1, out_of_memory = 2, not_found = 500, launch_failed = 719 };

template <typename Value> Value *pointer(glen_cuda_address address) {
  return reinterpret_cast<Value *>(address);
}

int allocate(glen_cuda_address *address, unsigned long bytes) {
  // A request that the system would grant and the machine could not hold.
  if (bytes == 0 || bytes > 1ul << 36) return bytes ? out_of_memory : invalid_value;
  void *memory = nullptr;
  if (posix_memalign(&memory, 256, bytes)) return out_of_memory;
  std::memset(memory, 0xff, bytes);
  *address = reinterpret_cast<glen_cuda_address>(memory);
  return success;
}

int attribute(int *value, int attribute, int) {
  enum { multiprocessors = 16, major = 75, minor = 76 };
  *value = attribute == major ? 9 : attribute == minor ? 0 : attribute == multiprocessors ? 2 : 0;
  return success;
}

// A stream does its work at once, or keeps it while it is captured. The same with graphs.
using Work = std::vector<std::function<int()>>;
struct Stream {
  bool is_captured = false;
  Work work;
};

int give(void *stream, std::function<int()> work) {
  auto *place = static_cast<Stream *>(stream);
  if (!place || !place->is_captured) return work();
  place->work.push_back(std::move(work));
  return success;
}

int run_graph(void *graph, void *) {
  for (auto &work : *static_cast<Work *>(graph))
    if (int error = work()) return error;
  return success;
}

int launch_kernel(void *function, unsigned blocks_x, unsigned blocks_y, unsigned blocks_z,
                  unsigned threads_x, unsigned threads_y, unsigned threads_z, unsigned shared_bytes,
                  void *stream, void **arguments, void **) {
  bool is_possible = blocks_x > 0 && blocks_x < 1u << 31 && blocks_y > 0 && blocks_y < 65536 &&
                     blocks_z > 0 && blocks_z < 65536 && threads_x > 0 && threads_x <= 256 &&
                     threads_x % 32 == 0 && threads_y == 1 && threads_z == 1 && shared_bytes == 0;
  if (!is_possible) return invalid_value;
  glen_place blocks = {(int)blocks_x, (int)blocks_y, (int)blocks_z};
  return give(stream, [thread = glen_host::bind(function, arguments), blocks, threads_x] {
    return glen_host::launch(thread, blocks, (int)threads_x) ? success : launch_failed;
  });
}

enum { float32 = 0, bfloat16 = 14 };

double element(const void *matrix, int type, long index) {
  if (type == float32) return static_cast<const float *>(matrix)[index];
  return glen_half(static_cast<const unsigned short *>(matrix)[index], 0);
}

void set_element(void *matrix, int type, long index, float value) {
  if (type == float32)
    static_cast<float *>(matrix)[index] = value;
  else
    static_cast<unsigned short *>(matrix)[index] = (unsigned short)glen_bfloat16(value);
}

// C = alpha op(A) op(B) + beta C, column-major, summed in double; A and B of one type, C of float32 or of
// theirs.
int gemm_now(void *, int transpose_a, int transpose_b, int m, int n, int k, const void *alpha,
         const void *a, int a_type, int a_stride, long long a_step, const void *b, int b_type,
         int b_stride, long long b_step, const void *beta, void *c, int c_type, int c_stride,
         long long c_step, int count, int, int) {
  int least_a = transpose_a ? k : m, least_b = transpose_b ? n : k;
  bool is_known = (a_type == float32 || a_type == bfloat16) && b_type == a_type &&
                  (c_type == float32 || c_type == a_type);
  if (m <= 0 || n <= 0 || k <= 0 || !is_known || a_stride < least_a || b_stride < least_b ||
      c_stride < m)
    return 7;  // what cuBLAS calls an invalid value
  for (int index = 0; index < count; index++) {
    for (long j = 0; j < n; j++) {
      for (long i = 0; i < m; i++) {
        double sum = 0;
        for (long l = 0; l < k; l++)
          sum += element(a, a_type, index * a_step + (transpose_a ? l + i * a_stride : i + l * a_stride)) *
                 element(b, b_type, index * b_step + (transpose_b ? j + l * b_stride : l + j * b_stride));
        long place = index * c_step + i + j * c_stride;
        float factor = *static_cast<const float *>(beta);
        float old = factor == 0 ? 0 : factor * (float)element(c, c_type, place);
        set_element(c, c_type, place, *static_cast<const float *>(alpha) * (float)sum + old);
      }
    }
  }
  return success;
}

// A handle of cuBLAS is where its products go.
struct Handle {
  void *stream = nullptr;
};

int gemm(void *handle, int transpose_a, int transpose_b, int m, int n, int k, const void *alpha,
         const void *a, int a_type, int a_stride, long long a_step, const void *b, int b_type,
         int b_stride, long long b_step, const void *beta, void *c, int c_type, int c_stride,
         long long c_step, int count, int compute_type, int algorithm) {
  return give(static_cast<Handle *>(handle)->stream, [=, alpha = *static_cast<const float *>(alpha),
                               beta = *static_cast<const float *>(beta)] {
    return gemm_now(handle, transpose_a, transpose_b, m, n, k, &alpha, a, a_type, a_stride, a_step, b,
                    b_type, b_stride, b_step, &beta, c, c_type, c_stride, c_step, count, compute_type,
                    algorithm);
  });
}

int any_handle(void **handle) {
  static int place;
  *handle = &place;
  return success;
}

using Time = std::chrono::steady_clock::time_point;

const glen_cuda_driver driver = {
    .cuInit = [](unsigned) -> int { return success; },
    .cuDriverGetVersion = [](int *version) -> int { return *version = 13000, success; },
    .cuDeviceGetCount = [](int *count) -> int { return *count = 1, success; },
    .cuDeviceGet = [](int *device, int ordinal) -> int {
      return *device = ordinal, ordinal == 0 ? success : invalid_value;
    },
    .cuDeviceGetName = [](char *name, int length, int) -> int {
      return std::strncpy(name, "host", (size_t)length), success;
    },
    .cuDeviceGetAttribute = attribute,
    .cuDeviceTotalMem_v2 = [](unsigned long *bytes, int) -> int {
      return *bytes = 1ul << 36, success;
    },
    .cuDevicePrimaryCtxRetain = [](void **context, int) -> int { return any_handle(context); },
    .cuDevicePrimaryCtxRelease_v2 = [](int) -> int { return success; },
    .cuCtxSetCurrent = [](void *) -> int { return success; },
    .cuGetErrorString = [](int error, const char **text) -> int {
      *text = error == out_of_memory   ? "out of memory"
              : error == launch_failed ? "some threads left while others waited at a barrier"
              : error == not_found     ? "no such kernel"
                                       : "invalid value";
      return success;
    },
    .cuMemAlloc_v2 = allocate,
    .cuMemFree_v2 = [](glen_cuda_address address) -> int {
      return std::free(pointer<void>(address)), success;
    },
    .cuMemcpyHtoDAsync_v2 = [](glen_cuda_address to, const void *from, unsigned long bytes,
                               void *) -> int {
      return std::memcpy(pointer<void>(to), from, bytes), success;
    },
    .cuMemcpyDtoHAsync_v2 = [](void *to, glen_cuda_address from, unsigned long bytes,
                               void *) -> int {
      return std::memcpy(to, pointer<void>(from), bytes), success;
    },
    .cuMemcpyDtoDAsync_v2 = [](glen_cuda_address to, glen_cuda_address from, unsigned long bytes,
                               void *stream) -> int {
      return give(stream, [=] {
        return std::memcpy(pointer<void>(to), pointer<void>(from), bytes), success;
      });
    },
    .cuMemsetD32Async = [](glen_cuda_address to, unsigned value, unsigned long count,
                           void *stream) -> int {
      return give(stream, [=] {
        for (unsigned long i = 0; i < count; i++) pointer<unsigned>(to)[i] = value;
        return success;
      });
    },
    .cuStreamCreate = [](void **stream, unsigned) -> int {
      return *stream = new Stream, success;
    },
    .cuStreamDestroy_v2 = [](void *stream) -> int {
      return delete static_cast<Stream *>(stream), success;
    },
    .cuStreamSynchronize = [](void *) -> int { return success; },
    .cuEventCreate = [](void **event, unsigned) -> int { return *event = new Time, success; },
    .cuEventDestroy_v2 = [](void *event) -> int {
      return delete static_cast<Time *>(event), success;
    },
    .cuEventRecord = [](void *event, void *) -> int {
      return *static_cast<Time *>(event) = std::chrono::steady_clock::now(), success;
    },
    .cuEventSynchronize = [](void *) -> int { return success; },
    .cuEventElapsedTime = [](float *milliseconds, void *begin, void *end) -> int {
      std::chrono::duration<float, std::milli> time =
          *static_cast<Time *>(end) - *static_cast<Time *>(begin);
      return *milliseconds = time.count(), success;
    },
    .cuStreamBeginCapture_v2 = [](void *stream, int) -> int {
      return static_cast<Stream *>(stream)->is_captured = true, success;
    },
    .cuStreamEndCapture = [](void *stream, void **graph) -> int {
      auto *captured = static_cast<Stream *>(stream);
      captured->is_captured = false;
      return *graph = new Work(std::move(captured->work)), success;
    },
    .cuGraphInstantiateWithFlags = [](void **executable, void *graph, unsigned long long) -> int {
      return *executable = new Work(*static_cast<Work *>(graph)), success;
    },
    .cuGraphLaunch = run_graph,
    .cuGraphExecDestroy = [](void *graph) -> int {
      return delete static_cast<Work *>(graph), success;
    },
    .cuGraphDestroy = [](void *graph) -> int { return delete static_cast<Work *>(graph), success; },
    .cuModuleLoadData = [](void **module, const void *image) -> int {
      bool is_ours = std::strcmp(static_cast<const char *>(image), "host") == 0;
      return is_ours ? any_handle(module) : invalid_value;
    },
    .cuModuleUnload = [](void *) -> int { return success; },
    .cuModuleGetFunction = [](void **function, void *, const char *name) -> int {
      *function = const_cast<void *>(glen_host::find(name));
      return *function ? success : not_found;
    },
    .cuLaunchKernel = launch_kernel,
};

const glen_cuda_nvrtc nvrtc = {
    .nvrtcVersion = [](int *major, int *minor) -> int { return *major = 13, *minor = 0, success; },
    .nvrtcCreateProgram = [](void **program, const char *, const char *, int, const char *const *,
                             const char *const *) -> int { return any_handle(program); },
    .nvrtcDestroyProgram = [](void **) -> int { return success; },
    .nvrtcCompileProgram = [](void *, int, const char *const *) -> int { return success; },
    .nvrtcGetProgramLogSize = [](void *, unsigned long *bytes) -> int {
      return *bytes = 1, success;
    },
    .nvrtcGetProgramLog = [](void *, char *log) -> int { return *log = 0, success; },
    .nvrtcGetCUBINSize = [](void *, unsigned long *bytes) -> int { return *bytes = 5, success; },
    .nvrtcGetCUBIN = [](void *, char *code) -> int { return std::strcpy(code, "host"), success; },
    .nvrtcGetErrorString = [](int) -> const char * { return "no error"; },
};

const glen_cuda_blas blas = {
    .cublasCreate_v2 = [](void **handle) -> int { return *handle = new Handle, success; },
    .cublasDestroy_v2 = [](void *handle) -> int {
      return delete static_cast<Handle *>(handle), success;
    },
    .cublasSetMathMode = [](void *, int mode) -> int { return mode == 16 ? success : invalid_value; },
    .cublasSetStream_v2 = [](void *handle, void *stream) -> int {
      return static_cast<Handle *>(handle)->stream = stream, success;
    },
    .cublasSetWorkspace_v2 = [](void *, void *, unsigned long) -> int { return success; },
    .cublasGemmStridedBatchedEx = gemm,
};

}  // namespace

const glen_cuda_driver *glen_host_driver(void) { return &driver; }
const glen_cuda_nvrtc *glen_host_nvrtc(void) { return &nvrtc; }
const glen_cuda_blas *glen_host_blas(void) { return &blas; }
