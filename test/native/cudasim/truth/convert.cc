// Truths of cvt, cvta.
#include "truth.h"

namespace warploom::test {

void addConvertTruths(Truths& truths) { static_cast<void>(truths); }

}  // namespace warploom::test
