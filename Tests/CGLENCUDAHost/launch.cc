#include "launch.h"

#include <csetjmp>
#include <map>
#include <mutex>
#include <string>
#include <sys/mman.h>
#include <ucontext.h>

// A fibre is made once with a stack of its own (ucontext) and changed to by longjmp, which unlike
// swapcontext makes no system call.
//
// One warp after the other runs to the block's next barrier, as far ahead of the others as it can ever
// be: what it reads of them too early, or overwrites before they have read it, shows.
namespace glen_host {

Machine machine;

namespace {

enum { stack_size = 1 << 17 };

struct Fibre {
  ucontext_t context;
  jmp_buf place;
  bool is_made = false, is_done = true, waits_for_block = false;
};

Fibre fibres[most_threads];
ucontext_t starter;
jmp_buf scheduler;
const std::function<void()> *running;
bool is_reversed = false;
std::mutex lock;

std::map<std::string, Function> &kernels() {
  static std::map<std::string, Function> all;
  return all;
}

void loop(int index) {
  for (;;) {
    (*running)();
    fibres[index].is_done = true;
    if (!_setjmp(fibres[index].place)) _longjmp(scheduler, 1);
  }
}

// Runs one fibre to its next barrier or its end.
void resume(int index) {
  Fibre &fibre = fibres[index];
  machine.thread = index;
  if (_setjmp(scheduler)) return;
  if (fibre.is_made) _longjmp(fibre.place, 1);
  void *stack = mmap(nullptr, stack_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
                     0);
  if (stack == MAP_FAILED) std::abort();
  getcontext(&fibre.context);
  fibre.context.uc_stack.ss_sp = stack;
  fibre.context.uc_stack.ss_size = stack_size;
  fibre.context.uc_link = nullptr;
  makecontext(&fibre.context, reinterpret_cast<void (*)()>(loop), 1, index);
  fibre.is_made = true;
  swapcontext(&starter, &fibre.context);
}

int ordered(int index, int count) { return is_reversed ? count - 1 - index : index; }

// Runs a warp until all its threads wait for the block or are done; false where some exchange what
// others are no longer there for.
bool run_warp(int warp) {
  for (;;) {
    bool exchanges = false;
    int left = 0;
    for (int i = 0; i < warp_size; i++) {
      int index = warp * warp_size + ordered(i, warp_size);
      Fibre &fibre = fibres[index];
      if (!fibre.is_done && !fibre.waits_for_block) resume(index);
      bool is_left = fibre.is_done || fibre.waits_for_block;
      left += is_left;
      exchanges = exchanges || !is_left;
    }
    if (!exchanges) return true;
    if (left > 0) return false;
  }
}

// Whether the block ended with all threads at the same number of barriers.
bool run_block() {
  for (int i = 0; i < machine.threads; i++) {
    fibres[i].is_done = fibres[i].waits_for_block = false;
    machine.phase[i] = machine.any_phase[i] = 0;
    machine.groups[i].clear();
  }
  for (bool &any : machine.any) any = false;
  for (;;) {
    int warps = machine.threads / warp_size, done = 0;
    for (int warp = 0; warp < warps; warp++)
      if (!run_warp(ordered(warp, warps))) return false;
    for (int i = 0; i < machine.threads; i++) {
      done += fibres[i].is_done;
      fibres[i].waits_for_block = false;
    }
    if (done == machine.threads) return true;
    if (done > 0) return false;
  }
}

}  // namespace

void enter(const char *name, Function function) { kernels()[name] = std::move(function); }

void warp_barrier() {
  if (!_setjmp(fibres[machine.thread].place)) _longjmp(scheduler, 1);
}

void barrier() {
  fibres[machine.thread].waits_for_block = true;
  warp_barrier();
}

const void *find(const char *name) {
  auto found = kernels().find(name);
  return found == kernels().end() ? nullptr : &found->second;
}

std::function<void()> bind(const void *kernel, Arguments arguments) {
  return (*static_cast<const Function *>(kernel))(arguments);
}

bool launch(const std::function<void()> &thread, glen_place blocks, int threads) {
  std::lock_guard<std::mutex> guard(lock);
  running = &thread;
  machine.threads = threads;
  machine.blocks = blocks;
  for (int z = 0; z < blocks.z; z++)
    for (int y = 0; y < blocks.y; y++)
      for (int x = 0; x < blocks.x; x++) {
        machine.block = {x, y, z};
        if (!run_block()) {
          // The fibres that wait are lost; make them anew.
          for (Fibre &fibre : fibres) fibre.is_made = false;
          return false;
        }
      }
  return true;
}

}  // namespace glen_host

void glen_host_reverse_threads(int is_reversed) {
  std::lock_guard<std::mutex> guard(glen_host::lock);
  glen_host::is_reversed = glen_host::machine.copies_at_once = is_reversed;
}
