#include "glen_cuda.h"

#if defined(__has_embed)
#pragma clang diagnostic ignored "-Wc23-extensions"

static const char all[] = {
#embed "Kernels/all.cu"
    , 0};
static const char attention[] = {
#embed "Kernels/attention.cu"
    , 0};
static const char attention_bf16[] = {
#embed "Kernels/attention_bf16.cu"
    , 0};
static const char attention_one[] = {
#embed "Kernels/attention_one.cu"
    , 0};
static const char device[] = {
#embed "Kernels/device.h"
    , 0};
static const char elementwise[] = {
#embed "Kernels/elementwise.cu"
    , 0};
static const char glen_attention_h[] = {
#embed "include/glen_attention.h"
    , 0};
static const char glen_parameters_h[] = {
#embed "include/glen_parameters.h"
    , 0};
static const char glen_search_h[] = {
#embed "include/glen_search.h"
    , 0};
static const char random_h[] = {
#embed "Kernels/random.h"
    , 0};
static const char reductions[] = {
#embed "Kernels/reductions.cu"
    , 0};
static const char rows[] = {
#embed "Kernels/rows.cu"
    , 0};
static const char search[] = {
#embed "Kernels/search.cu"
    , 0};
static const char tables[] = {
#embed "Kernels/tables.cu"
    , 0};
static const char tiles[] = {
#embed "Kernels/tiles.h"
    , 0};
static const char vocabulary[] = {
#embed "Kernels/vocabulary.cu"
    , 0};

static const glen_cuda_source sources[] = {
    {"all.cu", all},
    {"attention.cu", attention},
    {"attention_bf16.cu", attention_bf16},
    {"attention_one.cu", attention_one},
    {"device.h", device},
    {"elementwise.cu", elementwise},
    {"glen_attention.h", glen_attention_h},
    {"glen_parameters.h", glen_parameters_h},
    {"glen_search.h", glen_search_h},
    {"random.h", random_h},
    {"reductions.cu", reductions},
    {"rows.cu", rows},
    {"search.cu", search},
    {"tables.cu", tables},
    {"tiles.h", tiles},
    {"vocabulary.cu", vocabulary},
};

long glen_cuda_source_count(void) { return sizeof sources / sizeof *sources; }
#else
static const glen_cuda_source sources[1];

long glen_cuda_source_count(void) { return 0; }
#endif

glen_cuda_source glen_cuda_source_at(long index) { return sources[index]; }
