// What a product may apply to its finished sums.
#pragma once
#include "engine/args.h"

namespace warploom {

enum class Activation : int64_t { none = 0, relu = 1, gelu = 2, geluTanh = 3 };

}  // namespace warploom
