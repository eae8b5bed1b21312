// Op ids and argument structs, from ops.def.
#pragma once

#include "engine/args/attention.h"
#include "engine/args/conv.h"
#include "engine/args/create.h"
#include "engine/args/dropout.h"
#include "engine/args/elementwise.h"
#include "engine/args/embedding.h"
#include "engine/args/loss.h"
#include "engine/args/matmul.h"
#include "engine/args/norm.h"
#include "engine/args/optim.h"
#include "engine/args/pool.h"
#include "engine/args/reduce.h"
#include "engine/args/softmax.h"

namespace warploom {

enum class OpId : int32_t {
#define WL_OP(name, Args) name,
#define WL_OP_SCRATCH(name, Args) name,
#include "engine/ops.def"
#undef WL_OP
#undef WL_OP_SCRATCH
  count
};

constexpr int kOpCount = static_cast<int>(OpId::count);

}  // namespace warploom
