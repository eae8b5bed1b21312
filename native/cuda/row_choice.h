// The chooser of row kernels.
#pragma once

#include <initializer_list>

#include "cuda/context.h"
#include "cuda/row_plan.h"
#include "engine/view.h"

namespace warploom::cuda {

struct RowChoice {
  RowPlan plan;
  RowShape shape;
  int64_t tasks;       // rows, or tiles of columns
  int64_t tasksBlock;  // that one block takes at a time

  unsigned blocks() const { return static_cast<unsigned>((tasks + tasksBlock - 1) / tasksBlock); }
};

// `views` are all of the same rank-3 sizes.
RowChoice chooseRows(std::initializer_list<const View*> views);

// One name for each RowShape.
struct RowEntries {
  const char* names[5];
  const char* of(RowShape shape) const { return names[static_cast<int>(shape)]; }
};
#define WL_ROW_ENTRIES(name)                                                                  \
  {                                                                                           \
    { name "_rows2", name "_rows8", name "_columns8", name "_rowsLong", name "_columnsLong" } \
  }

}  // namespace warploom::cuda
