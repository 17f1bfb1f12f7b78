#include "glen_starter.h"

#if defined(__has_embed)
#pragma clang diagnostic ignored "-Wc23-extensions"

static const unsigned char configuration[] = {
#embed "Model/config.json"
};
// The header says where each tensor lies, counted from a multiple of eight.
_Alignas(64) static const unsigned char weights[] = {
#embed "Model/model.safetensors"
};
static const unsigned char vocabulary[] = {
#embed "Model/spiece.model"
};

#define FILE_OF(array) ((glen_starter_file){array, sizeof array})
#else
#define FILE_OF(array) ((glen_starter_file){0, 0})
#endif

glen_starter_file glen_starter_configuration(void) { return FILE_OF(configuration); }

glen_starter_file glen_starter_weights(void) { return FILE_OF(weights); }

glen_starter_file glen_starter_vocabulary(void) { return FILE_OF(vocabulary); }
