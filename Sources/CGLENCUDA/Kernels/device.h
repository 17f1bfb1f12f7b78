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
// A kernel of so many threads a block, of which a multiprocessor is to hold so many blocks.
#define GLEN_KERNEL_OF(name, threads, blocks, ...) \
  extern "C" __global__ void __launch_bounds__(threads, blocks) name(__VA_ARGS__)
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
// The value of the thread whose number differs in the bits of `lanes`; all threads of a warp call.
template <typename Value> GLEN_DEVICE Value glen_exchange(Value mine, int lanes) {
  return __shfl_xor_sync(0xffffffffu, mine, lanes);
}

// A number of bfloat16.
GLEN_DEVICE float glen_widen(unsigned half) { return __uint_as_float(half << 16); }
// Two numbers rounded to bfloat16, the first in the lower half.
GLEN_DEVICE unsigned glen_pair(float first, float second) {
  unsigned pair;
  asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(pair) : "f"(second), "f"(first));
  return pair;
}
// 2 to the x, to some 22 bits; what is smaller than a normal number is 0.
GLEN_DEVICE float glen_exp2(float x) {
  float y;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
}
// c += a b by the 32 threads of a warp, on pairs of bfloat16: a is 16 x 16, b 16 x 8. Thread 4 g + t
// has of c the rows g and g + 8 and the columns 2 t and 2 t + 1 (two numbers each); of a the same
// rows, at columns 2 t, then at 2 t + 8; of b the column g, at rows 2 t, then at 2 t + 8.
GLEN_DEVICE void glen_multiply(float (&c)[4], const unsigned (&a)[4], unsigned b0, unsigned b1) {
  asm("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 "
      "{%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
      : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

// A place in shared memory, as the instructions below take it.
GLEN_DEVICE unsigned glen_shared_place(const void *place) {
  return (unsigned)__cvta_generic_to_shared(place);
}
// Begins to copy 16 bytes from global to shared memory, or zeros; both places are whole 16 bytes, and
// the source one that may be read.
GLEN_DEVICE void glen_fetch(void *to, const void *from, bool is_there) {
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;"
               :: "r"(glen_shared_place(to)), "l"(from), "r"(is_there ? 16 : 0) : "memory");
}
// Makes a group of this thread's copies since the last.
GLEN_DEVICE void glen_close_group() { asm volatile("cp.async.commit_group;" ::: "memory"); }
// Waits for this thread's groups but the latest `OPEN`.
template <int OPEN> GLEN_DEVICE void glen_await() {
  asm volatile("cp.async.wait_group %0;" :: "n"(OPEN) : "memory");
}
// Four matrices of 8 x 8 numbers of bfloat16 from shared memory, for a warp: thread i names 16 bytes,
// row i % 8 of matrix i / 8. Of each, thread 4 g + t gets the columns 2 t and 2 t + 1 of row g.
GLEN_DEVICE void glen_matrices(unsigned (&words)[4], const unsigned *row) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(words[0]), "=r"(words[1]), "=r"(words[2]), "=r"(words[3])
               : "r"(glen_shared_place(row)) : "memory");
}
// The same of their transposes.
GLEN_DEVICE void glen_transposes(unsigned (&words)[4], const unsigned *row) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(words[0]), "=r"(words[1]), "=r"(words[2]), "=r"(words[3])
               : "r"(glen_shared_place(row)) : "memory");
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

// Four numbers that one thread reads or writes at once; the place must be a multiple of 16 bytes.
struct alignas(16) glen_four {
  float x, y, z, w;
};
struct alignas(16) glen_four_words {
  unsigned x, y, z, w;
};
struct alignas(8) glen_two_words {
  unsigned x, y;
};

// Four numbers of bfloat16, and as such.
GLEN_DEVICE glen_four glen_widen_four(glen_two_words pairs) {
  return {glen_widen(pairs.x & 0xffff), glen_widen(pairs.x >> 16), glen_widen(pairs.y & 0xffff),
          glen_widen(pairs.y >> 16)};
}
GLEN_DEVICE glen_two_words glen_round_four(glen_four x) {
  return {glen_pair(x.x, x.y), glen_pair(x.z, x.w)};
}
// The ith four numbers: of `halves`, where they are there as bfloat16 alone.
GLEN_DEVICE glen_four glen_fours(const float *x, const unsigned short *halves, long i) {
  return halves ? glen_widen_four(((const glen_two_words *)halves)[i]) : ((const glen_four *)x)[i];
}

// The sums of the rows of a matrix, [count, width], in the precision of `Sum`, onto y or in its place; a block
// has 32 columns, each warp every eighth row.
template <typename Sum>
GLEN_DEVICE void glen_sum_rows(const float *rows, long count, float *y, long width,
                               int accumulates) {
  constexpr int WARPS = GLEN_THREADS / 32;
  GLEN_SHARED Sum sums[WARPS][32];
  int lane = glen_thread() % 32, warp = glen_thread() / 32;
  long column = (long)glen_block().x * 32 + lane;
  Sum sum = 0;
  if (column < width) {
#pragma unroll 4
    for (long row = warp; row < count; row += WARPS) sum += rows[row * width + column];
  }
  sums[warp][lane] = sum;
  glen_barrier();
  if (warp > 0 || column >= width) return;
  for (int other = 1; other < WARPS; other++) sum += sums[other][lane];
  y[column] = accumulates ? y[column] + (float)sum : (float)sum;
}

// The first element of this thread in a row that the blocks of one grid column share, and the
// distance to its next.
GLEN_DEVICE long glen_first() { return (long)glen_block().y * glen_threads() + glen_thread(); }
GLEN_DEVICE long glen_step() { return (long)glen_blocks().y * glen_threads(); }

// The elements of this thread in a loop over `count`.
#define GLEN_EACH(i, count) \
  for (long i = (long)glen_block().x * glen_threads() + glen_thread(); i < (count); \
       i += (long)glen_blocks().x * glen_threads())

// Of a list whose items say how many blocks they and those before them have: the item of this block, and
// which of that item's blocks it is.
template <typename Item> GLEN_DEVICE long glen_owner(const Item *items, long count) {
  long index = 0, behind = count - 1;
  while (index < behind) {
    long middle = (index + behind) / 2;
    if (items[middle].end > glen_block().x)
      behind = middle;
    else
      index = middle + 1;
  }
  return index;
}

template <typename Item> GLEN_DEVICE long glen_block_of(const Item *items, long index) {
  return glen_block().x - (index > 0 ? items[index - 1].end : 0);
}

// Where a destination may hold anything, its old value is not read.
GLEN_DEVICE void glen_store(float *place, float value, int accumulates) {
  *place = accumulates ? *place + value : value;
}

// y = body(x...) for each element, or y + that; four at once where all begin at a whole 16 bytes, as
// they must, and be whole fours, where y is wanted as bfloat16 too, or so alone.
template <typename Body, typename... Inputs>
GLEN_DEVICE void glen_map(long count, float *y, glen_two_words *rounded, int alone, int accumulates,
                          Body body, const Inputs *...x) {
  long fours = (((unsigned long)y | ... | (unsigned long)x) % 16 == 0) ? count / 4 : 0;
  GLEN_EACH(i, fours) {
    glen_four *place = (glen_four *)y + i;
    glen_four old = accumulates ? *place : glen_four{0, 0, 0, 0};
    glen_four value = {
        body(((const glen_four *)x)[i].x...), body(((const glen_four *)x)[i].y...),
        body(((const glen_four *)x)[i].z...), body(((const glen_four *)x)[i].w...)};
    if (accumulates)
      value = {old.x + value.x, old.y + value.y, old.z + value.z, old.w + value.w};
    if (!alone) *place = value;
    if (rounded) rounded[i] = glen_round_four(value);
  }
  GLEN_EACH(i, count - 4 * fours)
  glen_store(y + 4 * fours + i, body(x[4 * fours + i]...), accumulates);
}

#endif
