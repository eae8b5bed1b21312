// Declares the exported functions of api.def, numbers them for the tables, and names the one symbol that is ours.
#pragma once

#include "cudasim/driver/abi.h"

#define CUDASIM_EXPORT extern "C" __attribute__((visibility("default")))

namespace warploom::cudasim {

using namespace abi;

#define API(since, name, params) CUDASIM_EXPORT CUresult name params;
#include "cudasim/driver/api.def"
#undef API

// A product that finds this symbol knows that no real GPU stands behind the library.
CUDASIM_EXPORT const char* cudasimVersion();

enum class Api : int {
#define API(since, name, params) name,
#include "cudasim/driver/api.def"
#undef API
  count,
};

struct ApiEntry {
  const char* name;
  int since;  // as cuDriverGetVersion writes a version: 12030 is 12.3
  void* function;
};
const ApiEntry& apiEntry(Api api);

}  // namespace warploom::cudasim
