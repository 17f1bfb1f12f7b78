// Kernels by name, and a grid of them on one thread.
#ifndef GLEN_LAUNCH_H
#define GLEN_LAUNCH_H

#include "glen_cuda_host.h"
#include "glen_host_device.h"

namespace glen_host {

// The kernel of that name, or null.
const void *find(const char *name);

// A kernel with the arguments of one launch.
std::function<void()> bind(const void *kernel, Arguments arguments);

// Runs a grid; false where some threads of a block ended while others waited at a barrier.
bool launch(const std::function<void()> &thread, glen_place blocks, int threads);

}  // namespace glen_host

#endif
