// What a kernel may use of the machine: indices, shared memory, a barrier, and the exchange within
// a warp. NVRTC takes the first half; the tests compile the same kernels as C++ with the second,
// whose file runs them on the processor. Nothing beyond this may be used, or the kernels could be
// tested on a device alone.
#ifndef GLEN_DEVICE_H
#define GLEN_DEVICE_H

// Threads of a block, where a kernel's shape does not ask for fewer.
#define GLEN_THREADS 256

#ifdef __CUDACC_RTC__

#define GLEN_KERNEL(name, ...) \
  extern "C" __global__ void __launch_bounds__(GLEN_THREADS) name(__VA_ARGS__)
#define GLEN_DEVICE static __device__ __forceinline__
#define GLEN_MEMBER __device__ __forceinline__
#define GLEN_SHARED __shared__
#define GLEN_INFINITY __int_as_float(0x7f800000)

struct glen_place {
  int x, y, z;
};
GLEN_DEVICE int glen_thread() { return threadIdx.x; }
GLEN_DEVICE int glen_threads() { return blockDim.x; }
GLEN_DEVICE glen_place glen_block() {
  return {(int)blockIdx.x, (int)blockIdx.y, (int)blockIdx.z};
}
GLEN_DEVICE glen_place glen_blocks() { return {(int)gridDim.x, (int)gridDim.y, (int)gridDim.z}; }
GLEN_DEVICE void glen_barrier() { __syncthreads(); }
// Whether any thread of the block says yes; a barrier too.
GLEN_DEVICE bool glen_any(bool mine) { return __syncthreads_or(mine); }
// The value of the thread whose number differs in the bits of `lanes`; all threads of a block call.
template <typename Value> GLEN_DEVICE Value glen_exchange(Value mine, int lanes) {
  return __shfl_xor_sync(0xffffffffu, mine, lanes);
}

#else
#include "glen_host_device.h"
#endif

// Sums and maxima over a block whose size is a multiple of 32. All threads call and all get the
// result; the order is fixed, so the same call gives the same bits. `parts` is shared memory for a
// value of each warp.
template <typename Value, typename Combine>
GLEN_DEVICE Value glen_reduce(Value mine, Value *parts, Combine combine) {
  for (int lanes = 16; lanes > 0; lanes /= 2) mine = combine(mine, glen_exchange(mine, lanes));
  glen_barrier();
  if (glen_thread() % 32 == 0) parts[glen_thread() / 32] = mine;
  glen_barrier();
  mine = parts[0];
  for (int warp = 1; warp < glen_threads() / 32; warp++) mine = combine(mine, parts[warp]);
  return mine;
}

template <typename Value> GLEN_DEVICE Value glen_sum(Value mine) {
  GLEN_SHARED Value parts[GLEN_THREADS / 32];
  return glen_reduce(mine, parts, [](Value a, Value b) { return a + b; });
}

// What is not a number is passed over.
GLEN_DEVICE float glen_max(float mine) {
  GLEN_SHARED float parts[GLEN_THREADS / 32];
  return glen_reduce(mine, parts, [](float a, float b) { return b > a ? b : a; });
}

// The first element of this thread in a row that the blocks of one grid column share, and the
// distance to its next.
GLEN_DEVICE long glen_first() { return (long)glen_block().y * glen_threads() + glen_thread(); }
GLEN_DEVICE long glen_step() { return (long)glen_blocks().y * glen_threads(); }

// The elements of this thread in a loop over `count`.
#define GLEN_EACH(i, count) \
  for (long i = (long)glen_block().x * glen_threads() + glen_thread(); i < (count); \
       i += (long)glen_blocks().x * glen_threads())

// Where a destination may hold anything, its old value is not read.
GLEN_DEVICE void glen_store(float *place, float value, int accumulates) {
  *place = accumulates ? *place + value : value;
}

#endif
