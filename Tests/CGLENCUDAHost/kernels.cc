// The kernels, as C++.
#include "../../Sources/CGLENCUDA/Kernels/all.cu"
