// Truths of the video instructions.
#include "truth.h"

namespace warploom::test {

void addVideoTruths(Truths& truths) { static_cast<void>(truths); }

}  // namespace warploom::test
