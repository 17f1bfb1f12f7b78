#include "glen_team.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>

// A query of one sentence is some four hundred operations of 20 to 200 microseconds: what it takes
// to wake a thread (45 microseconds with libdispatch here) decides. So a worker looks for the next
// job for about as long as waking it takes before it sleeps, and a caller that finds nobody awake
// does the parts itself.
//
// `ticket` is the job's number (40 bits), its parts (12) and the next part to take (12). Taking a
// part is one compare-and-swap of all three, which fails if the job is another by then; whoever has
// taken a part may read `work` and `context`, for the caller stays until the part is done.

enum { part_bits = 12, part_mask = (1 << part_bits) - 1, most_looks = 2000 };

struct glen_team {
  _Alignas(64) atomic_uint_fast64_t ticket;
  _Alignas(64) atomic_int undone;
  _Alignas(64) atomic_flag taken;
  void (*work)(void *, int);
  void *context;
  atomic_int sleeping;
  atomic_bool ends;
  pthread_mutex_t lock;
  pthread_cond_t wake;
  int workers;
  pthread_t threads[];
};

static inline void look_again(void) {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  __asm__ volatile("yield");
#endif
}

// Takes parts of the job of `ticket` until none is left.
static void take_parts(glen_team *team, uint_fast64_t ticket) {
  uint_fast64_t job = ticket >> part_bits;
  while (ticket >> part_bits == job) {
    int parts = (int)(job & part_mask), part = (int)(ticket & part_mask);
    if (part >= parts) return;
    if (!atomic_compare_exchange_weak(&team->ticket, &ticket, ticket + 1)) continue;
    team->work(team->context, part);
    atomic_fetch_sub_explicit(&team->undone, 1, memory_order_release);
    ticket = atomic_load(&team->ticket);
  }
}

static void *worker(void *argument) {
  glen_team *team = argument;
  uint_fast64_t seen = 0;
  for (;;) {
    uint_fast64_t ticket = atomic_load(&team->ticket);
    for (int looks = 0; ticket >> part_bits == seen && looks < most_looks; looks++) {
      look_again();
      ticket = atomic_load_explicit(&team->ticket, memory_order_acquire);
    }
    if (ticket >> part_bits == seen) {
      pthread_mutex_lock(&team->lock);
      // Either the next caller sees that somebody sleeps, or this sees the caller's job.
      atomic_fetch_add(&team->sleeping, 1);
      while ((ticket = atomic_load(&team->ticket)) >> part_bits == seen &&
             !atomic_load(&team->ends))
        pthread_cond_wait(&team->wake, &team->lock);
      atomic_fetch_sub(&team->sleeping, 1);
      pthread_mutex_unlock(&team->lock);
    }
    if (atomic_load(&team->ends)) return NULL;
    seen = ticket >> part_bits;
    take_parts(team, ticket);
  }
}

glen_team *glen_team_create(int workers) {
  glen_team *team = NULL;
  size_t size = sizeof *team + (size_t)workers * sizeof team->threads[0];
  if (posix_memalign((void **)&team, 64, size) != 0) return NULL;
  atomic_init(&team->ticket, 0);
  atomic_init(&team->undone, 0);
  atomic_flag_clear(&team->taken);
  atomic_init(&team->sleeping, 0);
  atomic_init(&team->ends, 0);
  pthread_mutex_init(&team->lock, NULL);
  pthread_cond_init(&team->wake, NULL);
  for (team->workers = 0; team->workers < workers; team->workers++)
    if (pthread_create(&team->threads[team->workers], NULL, worker, team) != 0) break;
  return team;
}

static void wake_all(glen_team *team) {
  pthread_mutex_lock(&team->lock);
  pthread_cond_broadcast(&team->wake);
  pthread_mutex_unlock(&team->lock);
}

void glen_team_destroy(glen_team *team) {
  if (!team) return;
  atomic_store(&team->ends, 1);
  wake_all(team);
  for (int i = 0; i < team->workers; i++) pthread_join(team->threads[i], NULL);
  pthread_cond_destroy(&team->wake);
  pthread_mutex_destroy(&team->lock);
  free(team);
}

void glen_team_run(glen_team *team, int parts, void (*work)(void *, int), void *context) {
  if (!team || team->workers == 0 || parts < 2 ||
      atomic_flag_test_and_set_explicit(&team->taken, memory_order_acquire)) {
    for (int part = 0; part < parts; part++) work(context, part);
    return;
  }
  team->work = work;
  team->context = context;
  atomic_store_explicit(&team->undone, parts, memory_order_relaxed);
  uint_fast64_t number = (atomic_load(&team->ticket) >> (2 * part_bits)) + 1;
  uint_fast64_t ticket = (number << part_bits | (uint_fast64_t)parts) << part_bits;
  atomic_store(&team->ticket, ticket);
  if (atomic_load(&team->sleeping) > 0) wake_all(team);
  take_parts(team, ticket);
  for (int looks = 0; atomic_load_explicit(&team->undone, memory_order_acquire) > 0; looks++) {
    // A worker that the system has put aside needs the processor more than this loop does.
    if (looks < most_looks) look_again();
    else sched_yield();
  }
  atomic_flag_clear_explicit(&team->taken, memory_order_release);
}
