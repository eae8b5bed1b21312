// Truths of shfl, vote, match, redux, barriers.
#include "truth.h"

namespace warploom::test {

void addWarpTruths(Truths& truths) { static_cast<void>(truths); }

}  // namespace warploom::test
