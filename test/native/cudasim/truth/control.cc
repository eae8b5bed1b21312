// Truths of branches, calls, mov, traps.
#include "truth.h"

namespace warploom::test {

void addControlTruths(Truths& truths) { static_cast<void>(truths); }

}  // namespace warploom::test
