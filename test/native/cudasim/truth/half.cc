// Truths of float16 and bfloat16.
#include "truth.h"

namespace warploom::test {

void addHalfTruths(Truths& truths) { static_cast<void>(truths); }

}  // namespace warploom::test
