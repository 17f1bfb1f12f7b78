// Shows the thread sanitizer what it cannot see of Swift's Mutex; preloaded by Scripts/sanitize.
//
// Mutex of the Synchronization module is inlined where it is used, and instrumented there, but for the
// ways that wait in a futex and wake who waits: they are in the standard library, which is not
// instrumented. Where threads met, the lock would seem to order nothing. This wraps the two and says
// what was released and acquired; a race beside the lock is still found.

#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdint.h>
#include <stdlib.h>

// Of the sanitizer, which is not in the processes that start the tests.
extern void __tsan_acquire(void *address) __attribute__((weak));
extern void __tsan_release(void *address) __attribute__((weak));

// Synchronization._MutexHandle._lockSlow(UInt32) and ._unlockSlow()
#define LOCK "$s15Synchronization12_MutexHandleV9_lockSlowyys6UInt32VF"
#define UNLOCK "$s15Synchronization12_MutexHandleV11_unlockSlowyyF"
#define SWIFT __attribute__((swiftcall))
#define SELF __attribute__((swift_context)) void *self

typedef SWIFT void Lock(uint32_t thread, SELF);
typedef SWIFT void Unlock(SELF);

Lock glen_lock __asm__(LOCK);
Unlock glen_unlock __asm__(UNLOCK);

static void *next(const char *symbol) {
  void *function = dlsym(RTLD_NEXT, symbol);
  if (!function) abort();
  return function;
}

SWIFT void glen_lock(uint32_t thread, SELF) {
  ((Lock *)next(LOCK))(thread, self);
  if (__tsan_acquire) __tsan_acquire(self);
}

SWIFT void glen_unlock(SELF) {
  if (__tsan_release) __tsan_release(self);
  ((Unlock *)next(UNLOCK))(self);
}
