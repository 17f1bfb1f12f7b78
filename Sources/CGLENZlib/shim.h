#ifndef GLEN_ZLIB_SHIM_H
#define GLEN_ZLIB_SHIM_H
#include <zlib.h>
#endif
