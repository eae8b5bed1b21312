// Truths of ld, st, cp.async, prefetch.
#include "truth.h"

namespace warploom::test {

void addMemoryTruths(Truths& truths) { static_cast<void>(truths); }

}  // namespace warploom::test
