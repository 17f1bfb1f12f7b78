// The whole program: one compilation, one module.
#include "attention.cu"
#include "elementwise.cu"
#include "reductions.cu"
#include "rows.cu"
#include "search.cu"
#include "tables.cu"
#include "vocabulary.cu"
