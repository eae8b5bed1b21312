// One declaration per argument struct, three readers. A field list names each field once; from it come the struct that
// kernels receive, the visitor by which the binding decodes a call, and (through scripts/generate-ops.ts) the typed
// encoder in TypeScript. Field kinds: In, OptIn, Out, OptOut, InOut, OptInOut, Segments, int64, float64, flag.
#pragma once

#include "engine/view.h"

namespace warploom {
namespace field {
using In = warploom::In;
using OptIn = warploom::OptIn;
using Out = warploom::Out;
using OptOut = warploom::OptOut;
using InOut = warploom::InOut;
using OptInOut = warploom::OptInOut;
using Segments = warploom::Segments;
using int64 = int64_t;
using float64 = double;
using flag = int32_t;
}  // namespace field
}  // namespace warploom

#define WL_DECLARE_FIELD(kind, name) ::warploom::field::kind name;
#define WL_VISIT_FIELD(kind, name) visitor.visit(args.name);

// Defines struct NAME with the fields of FIELDS(F), and visitFields(NAME&, visitor), which calls visitor.visit(field)
// in order.
#define WL_ARGS(NAME, FIELDS)                                                          \
  struct NAME {                                                                        \
    FIELDS(WL_DECLARE_FIELD)                                                           \
  };                                                                                   \
  static_assert(sizeof(NAME) <= 4096, "kernel parameters are limited to 4,096 bytes"); \
  template <class Visitor>                                                             \
  inline void visitFields(NAME& args, Visitor& visitor) {                              \
    FIELDS(WL_VISIT_FIELD)                                                             \
  }
