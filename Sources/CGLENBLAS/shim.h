#ifndef GLEN_BLAS_SHIM_H
#define GLEN_BLAS_SHIM_H
// What of OpenBLAS is called, declared here so that it does not matter in which folder a system keeps
// cblas.h.
void cblas_sgemm(int order, int transposeA, int transposeB, int m, int n, int k, float alpha,
                 const float *a, int lda, const float *b, int ldb, float beta, float *c, int ldc);
void openblas_set_num_threads(int count);
int openblas_get_num_threads(void);
// 0: OpenBLAS has no threads, 1: its own, 2: those of OpenMP.
int openblas_get_parallel(void);

// One thread for products from now on: for the process where OpenBLAS has threads of its own, and for
// the calling thread where they are OpenMP's, which has a number for each; so every thread says it
// before its first product. Saying it again costs a look: threads that have ended would begin again.
//
// With Debian's libopenblas0-openmp 0.3.21, two cores with AVX2, four callers take 874 ms, and took 7,563 when
// only one thread had said it: GLEN_THREADS=1 OMP_NUM_THREADS=2 glen bench --model T5-SMALL --batch 2
// --length 156 --callers 4 --runs 3.
static inline void glen_hold_openblas_to_one_thread(void) {
  static _Thread_local int isHeld;
  if (isHeld) return;
  if (openblas_get_parallel() == 2 || openblas_get_num_threads() != 1) openblas_set_num_threads(1);
  isHeld = 1;
}

// OpenBLAS starts a thread for every processor when it is loaded, and each spins for up to a tenth of a
// second before it sleeps. Nothing here ever gives them work, and a program that asks one question and
// ends has little more than that tenth: this ends them, as OpenBLAS itself does before a fork. Only for a
// program's first line: a product of somebody else's that runs meanwhile would never end.
static inline void glen_end_openblas_threads(void) {
#if defined(__linux__)
  extern int blas_thread_shutdown_(void) __attribute__((weak));
  glen_hold_openblas_to_one_thread();
  if (openblas_get_parallel() == 1 && blas_thread_shutdown_) blas_thread_shutdown_();
#endif
}
#endif
