#include "cpu/operands.h"

#include <string>

namespace warploom::cpu {

bool refuse(Context& context, const char* op, const char* why) {
  context.fail(op, why);
  return false;
}

void unsupported(Context& context, const char* op, DType dtype) {
  static const char* const names[] = {"float32", "float64", "int32", "int64", "uint8", "bool", "bfloat16", "float16"};
  const int id = static_cast<int>(dtype);
  const char* const name = id >= 0 && id < kDTypeCount ? names[id] : "unknown";
  context.fail(op, std::string("no CPU kernel for dtype ") + name + "; convert the operands first");
}

}  // namespace warploom::cpu
