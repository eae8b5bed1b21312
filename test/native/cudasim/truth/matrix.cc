// Truths of ldmatrix and mma.
#include "truth.h"

namespace warploom::test {

void addMatrixTruths(Truths& truths) { static_cast<void>(truths); }

}  // namespace warploom::test
