// The other half of device.h: what a kernel may use, on the processor. The threads of a block are
// fibres of one thread, which change at barriers only.
#ifndef GLEN_HOST_DEVICE_H
#define GLEN_HOST_DEVICE_H

#include <cmath>
#include <cstring>
#include <functional>
#include <tuple>
#include <utility>
#include <vector>

struct glen_place {
  int x, y, z;
};

namespace glen_host {

enum { most_threads = 1024, warp_size = 32, phases = 3 };

// The block that runs now. Exchanges alternate between three sets of slots, so that one barrier
// each is enough: a thread is at most one barrier of its warp ahead of another.
struct Machine {
  int thread, threads;
  glen_place block, blocks;
  int phase[most_threads], any_phase[most_threads];
  double slots[phases][most_threads];
  unsigned words[phases][most_threads][6];
  bool any[phases];
  // Whether copies arrive when they are asked for, and not when they are waited for.
  bool copies_at_once;
  // What was asked for with glen_fetch and has not been waited for, by groups.
  std::vector<std::vector<std::function<void()>>> groups[most_threads];
};
extern Machine machine;

// Of the threads of a block, and of a warp.
void barrier();
void warp_barrier();

using Arguments = void **;
// Takes the arguments of a launch, whose memory is the caller's, into what runs a thread of it.
using Function = std::function<std::function<void()>(Arguments)>;
void enter(const char *name, Function function);

// Makes a kernel known by its name, with its arguments unpacked as a launch packs them.
struct Registration {
  template <typename... Parameters> Registration(const char *name, void (*kernel)(Parameters...)) {
    enter(name, [kernel](Arguments arguments) {
      return bound(kernel, arguments, std::index_sequence_for<Parameters...>{});
    });
  }
  template <typename... Parameters, std::size_t... indices>
  static std::function<void()> bound(void (*kernel)(Parameters...), Arguments arguments,
                                     std::index_sequence<indices...>) {
    return [kernel, values = std::make_tuple(*static_cast<Parameters *>(arguments[indices])...)] {
      std::apply(kernel, values);
    };
  }
};

}  // namespace glen_host

#define GLEN_KERNEL(name, ...) \
  static void name(__VA_ARGS__); \
  static const glen_host::Registration name##_registration(#name, name); \
  static void name(__VA_ARGS__)
#define GLEN_KERNEL_OF(name, threads, blocks, ...) GLEN_KERNEL(name, __VA_ARGS__)
#define GLEN_DEVICE static inline
#define GLEN_MEMBER inline
#define GLEN_SHARED static
#define GLEN_INFINITY __builtin_inff()

GLEN_DEVICE int glen_thread() { return glen_host::machine.thread; }
GLEN_DEVICE int glen_threads() { return glen_host::machine.threads; }
GLEN_DEVICE glen_place glen_block() { return glen_host::machine.block; }
GLEN_DEVICE glen_place glen_blocks() { return glen_host::machine.blocks; }
GLEN_DEVICE void glen_barrier() { glen_host::barrier(); }

GLEN_DEVICE bool glen_any(bool mine) {
  auto &m = glen_host::machine;
  int phase = m.any_phase[m.thread];
  m.any[phase] = m.any[phase] || mine;
  glen_barrier();
  m.any_phase[m.thread] = (phase + 1) % glen_host::phases;
  m.any[(phase + 2) % glen_host::phases] = false;
  return m.any[phase];
}

// What an exchange waits for: that all threads of the warp have put in theirs.
GLEN_DEVICE void glen_end_exchange(int phase) {
  glen_host::warp_barrier();
  glen_host::machine.phase[glen_thread()] = (phase + 1) % glen_host::phases;
}

template <typename Value> GLEN_DEVICE Value glen_exchange(Value mine, int lanes) {
  static_assert(sizeof(Value) <= sizeof(double), "a slot holds it");
  auto &m = glen_host::machine;
  int phase = m.phase[m.thread];
  std::memcpy(&m.slots[phase][m.thread], &mine, sizeof mine);
  glen_end_exchange(phase);
  Value other;
  std::memcpy(&other, &m.slots[phase][m.thread ^ lanes], sizeof other);
  return other;
}

// To the nearest, ties to even, as the device rounds.
GLEN_DEVICE unsigned glen_bfloat16(float x) {
  unsigned bits;
  std::memcpy(&bits, &x, sizeof bits);
  if (x != x) return 0x7fff;
  return (bits + 0x7fff + (bits >> 16 & 1)) >> 16;
}
GLEN_DEVICE unsigned glen_pair(float first, float second) {
  return glen_bfloat16(first) | glen_bfloat16(second) << 16;
}
GLEN_DEVICE float glen_half(unsigned pair, int half) {
  unsigned bits = half ? pair & 0xffff0000u : pair << 16;
  float value;
  std::memcpy(&value, &bits, sizeof value);
  return value;
}

GLEN_DEVICE float glen_widen(unsigned half) { return glen_half(half, 0); }

GLEN_DEVICE float glen_exp2(float x) { return exp2f(x); }

GLEN_DEVICE void glen_multiply(float (&c)[4], const unsigned (&a)[4], unsigned b0, unsigned b1) {
  auto &m = glen_host::machine;
  int phase = m.phase[m.thread];
  unsigned(*words)[6] = m.words[phase];
  const unsigned mine[6] = {a[0], a[1], a[2], a[3], b0, b1};
  std::memcpy(words[m.thread], mine, sizeof mine);
  glen_end_exchange(phase);
  words += m.thread / 32 * 32;
  int lane = m.thread % 32;
  for (int i = 0; i < 4; i++) {
    int row = lane / 4 + i / 2 * 8, column = lane % 4 * 2 + i % 2;
    for (int k = 0; k < 16; k++) {
      unsigned left = words[row % 8 * 4 + k % 8 / 2][row / 8 + k / 8 * 2];
      unsigned right = words[column * 4 + k % 8 / 2][4 + k / 8];
      c[i] += glen_half(left, k % 2) * glen_half(right, k % 2);
    }
  }
}

// What is copied arrives as late as it may, or as early.
GLEN_DEVICE void glen_fetch(void *to, const void *from, bool is_there) {
  auto copy = [=] {
    if (is_there)
      std::memcpy(to, from, 16);
    else
      std::memset(to, 0, 16);
  };
  if (glen_host::machine.copies_at_once) return copy();
  auto &groups = glen_host::machine.groups[glen_thread()];
  if (groups.empty()) groups.emplace_back();
  groups.back().push_back(copy);
}
GLEN_DEVICE void glen_close_group() {
  auto &groups = glen_host::machine.groups[glen_thread()];
  if (groups.empty()) groups.emplace_back();
  groups.emplace_back();
}
template <int OPEN> GLEN_DEVICE void glen_await() {
  auto &groups = glen_host::machine.groups[glen_thread()];
  // The last group is not closed yet.
  while (groups.size() > OPEN + 1) {
    for (auto &copy : groups.front()) copy();
    groups.erase(groups.begin());
  }
}

// The rows that the threads of this warp name.
GLEN_DEVICE void glen_rows(const unsigned short *(&rows)[32], const unsigned *mine) {
  auto &m = glen_host::machine;
  int phase = m.phase[m.thread];
  std::memcpy(&m.slots[phase][m.thread], &mine, sizeof mine);
  glen_end_exchange(phase);
  for (int i = 0; i < 32; i++)
    std::memcpy(&rows[i], &m.slots[phase][m.thread / 32 * 32 + i], sizeof rows[i]);
}
GLEN_DEVICE void glen_matrices(unsigned (&words)[4], const unsigned *row) {
  const unsigned short *rows[32];
  glen_rows(rows, row);
  int g = glen_thread() % 32 / 4, t = glen_thread() % 4;
  for (int i = 0; i < 4; i++)
    words[i] = rows[8 * i + g][2 * t] | (unsigned)rows[8 * i + g][2 * t + 1] << 16;
}
GLEN_DEVICE void glen_transposes(unsigned (&words)[4], const unsigned *row) {
  const unsigned short *rows[32];
  glen_rows(rows, row);
  int g = glen_thread() % 32 / 4, t = glen_thread() % 4;
  for (int i = 0; i < 4; i++)
    words[i] = rows[8 * i + 2 * t][g] | (unsigned)rows[8 * i + 2 * t + 1][g] << 16;
}

#endif
