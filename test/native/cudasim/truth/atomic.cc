// Truths of atom and red.
#include "truth.h"

namespace warploom::test {

void addAtomicTruths(Truths& truths) { static_cast<void>(truths); }

}  // namespace warploom::test
