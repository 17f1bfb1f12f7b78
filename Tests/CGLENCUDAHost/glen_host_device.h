// The other half of device.h: what a kernel may use, on the processor. The threads of a block are
// fibres of one thread, which change at barriers only.
#ifndef GLEN_HOST_DEVICE_H
#define GLEN_HOST_DEVICE_H

#include <cmath>
#include <cstring>
#include <functional>
#include <utility>

struct glen_place {
  int x, y, z;
};

namespace glen_host {

enum { most_threads = 1024, phases = 3 };

// The block that runs now. Exchanges alternate between three sets of slots, so that one barrier
// each is enough: a thread is at most one barrier ahead of another.
struct Machine {
  int thread, threads;
  glen_place block, blocks;
  int phase[most_threads];
  double slots[phases][most_threads];
  bool any[phases];
};
extern Machine machine;

void barrier();

using Arguments = void **;
using Function = std::function<void(Arguments)>;
void enter(const char *name, Function function);

// Makes a kernel known by its name, with its arguments unpacked as a launch packs them.
struct Registration {
  template <typename... Parameters> Registration(const char *name, void (*kernel)(Parameters...)) {
    enter(name, [kernel](Arguments arguments) {
      call(kernel, arguments, std::index_sequence_for<Parameters...>{});
    });
  }
  template <typename... Parameters, std::size_t... indices>
  static void call(void (*kernel)(Parameters...), Arguments arguments,
                   std::index_sequence<indices...>) {
    kernel(*static_cast<Parameters *>(arguments[indices])...);
  }
};

}  // namespace glen_host

#define GLEN_KERNEL(name, ...) \
  static void name(__VA_ARGS__); \
  static const glen_host::Registration name##_registration(#name, name); \
  static void name(__VA_ARGS__)
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
  int phase = m.phase[m.thread];
  m.any[phase] = m.any[phase] || mine;
  glen_barrier();
  m.phase[m.thread] = (phase + 1) % glen_host::phases;
  m.any[(phase + 2) % glen_host::phases] = false;
  return m.any[phase];
}

template <typename Value> GLEN_DEVICE Value glen_exchange(Value mine, int lanes) {
  static_assert(sizeof(Value) <= sizeof(double), "a slot holds it");
  auto &m = glen_host::machine;
  int phase = m.phase[m.thread];
  std::memcpy(&m.slots[phase][m.thread], &mine, sizeof mine);
  glen_barrier();
  m.phase[m.thread] = (phase + 1) % glen_host::phases;
  m.any[(phase + 2) % glen_host::phases] = false;
  Value other;
  std::memcpy(&other, &m.slots[phase][m.thread ^ lanes], sizeof other);
  return other;
}

#endif
