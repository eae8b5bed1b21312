// Truths of float32 and float64.
#include "truth.h"

namespace warploom::test {

void addFloatTruths(Truths& truths) { static_cast<void>(truths); }

}  // namespace warploom::test
