#include "cuda/row_choice.h"

#include "cuda/layout.h"

namespace warploom::cuda {
namespace {

constexpr int64_t kLanes = 32;
constexpr int64_t kHeld = kManyGroups * kSlotsOfThread;  // values that a thread can hold
constexpr int64_t kFewHeld = kFewGroups * kSlotsOfThread;
constexpr int64_t kLeastColumns = 8;  // a sector of memory

int64_t powerOfTwo(int64_t atLeast) {
  int64_t power = 1;
  while (power < atLeast) power *= 2;
  return power;
}

bool isPacked(const View& view) {
  const auto whole = [&](int dim) { return view.sizes[dim] <= 1 || view.strides[dim] % 4 == 0; };
  return view.sizes[1] % 4 == 0 && (view.sizes[1] <= 1 || view.strides[1] == 1) && whole(0) && whole(2) &&
         isAligned(view.data, 16);
}

}  // namespace

RowChoice chooseRows(std::initializer_list<const View*> views) {
  const View& first = **views.begin();
  RowChoice choice = {};
  RowPlan& plan = choice.plan;
  plan.outer = first.sizes[0];
  plan.n = first.sizes[1];
  plan.inner = first.sizes[2];
  bool columns = plan.inner > 1, packed = true;
  for (const View* view : views) {
    columns = columns && view->strides[2] == 1;
    packed = packed && isPacked(*view);
  }
  if (columns) {
    // Many columns where they are short; a sector of them at least, where they are long.
    int64_t width = std::min<int64_t>(kRowThreads, std::max(kLanes, kRowThreads / powerOfTwo(ceilDiv(plan.n, 4))));
    while (width > kLeastColumns && plan.n > kHeld * kRowThreads / width) width /= 2;
    width = std::min(width, powerOfTwo(plan.inner));
    const bool held = plan.n <= kHeld * kRowThreads / width;
    if (!held) width = std::min(kLanes, powerOfTwo(plan.inner));
    choice.shape = held ? RowShape::columns8 : RowShape::columnsLong;
    plan.width = static_cast<int32_t>(width);
    plan.tiles = ceilDiv(plan.inner, width);
    plan.innerInverse = 1.0 / static_cast<double>(plan.tiles);
    choice.tasks = plan.outer * plan.tiles;
    choice.tasksBlock = 1;
    return choice;
  }
  const bool block = plan.n > kLanes * kHeld;
  const int64_t lanes = std::min(kLanes, powerOfTwo(plan.n % 4 == 0 ? plan.n / 4 : plan.n));
  const int64_t width = block ? kRowThreads : lanes;
  choice.shape = plan.n <= width * kFewHeld ? RowShape::rows2
                 : plan.n <= width * kHeld  ? RowShape::rows8
                                            : RowShape::rowsLong;
  plan.width = static_cast<int32_t>(width);
  plan.packed = packed;
  plan.innerInverse = 1.0 / static_cast<double>(plan.inner);
  choice.tasks = plan.outer * plan.inner;
  choice.tasksBlock = kRowThreads / width;
  return choice;
}

}  // namespace warploom::cuda
