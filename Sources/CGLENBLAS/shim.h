#ifndef GLEN_BLAS_SHIM_H
#define GLEN_BLAS_SHIM_H
// The two symbols of OpenBLAS that the library calls, declared here so that it does not matter in
// which folder a system keeps cblas.h.
void cblas_sgemm(int order, int transposeA, int transposeB, int m, int n, int k, float alpha,
                 const float *a, int lda, const float *b, int ldb, float beta, float *c, int ldc);
void openblas_set_num_threads(int count);
#endif
