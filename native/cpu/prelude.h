// Everything a kernel file may include, included before any instruction-set region opens: code of the standard library
// and of the engine must never be compiled for a wider instruction set than the machine is known to have (an inline
// std:: function compiled for AVX-512 in one unit may be the copy the linker keeps for all).
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <type_traits>
#include <utility>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

#include "engine/backend.h"
#include "engine/ops.h"
#include "engine/philox.h"
