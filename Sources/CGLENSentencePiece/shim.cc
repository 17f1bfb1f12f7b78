#include "glen_sentencepiece.h"
extern "C" int glen_sp_version(void) { return 1; }
