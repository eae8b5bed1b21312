// Truths of setp, set, selp, slct, testp.
#include "truth.h"

namespace warploom::test {

void addCompareTruths(Truths& truths) { static_cast<void>(truths); }

}  // namespace warploom::test
