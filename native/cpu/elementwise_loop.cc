#include "cpu/elementwise_loop.h"

#include <cmath>
#include <cstring>
#include <utility>

#include "cpu/operands.h"

namespace warploom::cpu {
namespace {

struct Loop {
  int rank = 0;  // after merging; the last dim is the row
  int64_t sizes[kMaxRank];
  int64_t strides[kMaxRank][kMaxOperands];  // in elements
};

// Drops dims of size 1, orders the rest so that y's smallest stride is the row, and merges dims that every operand
// walks as one.
Loop mergeDims(const View& y, const View* const* operands, int count) {
  Loop loop;
  for (int d = 0; d < y.rank; ++d) {
    if (y.sizes[d] == 1) continue;
    int at = loop.rank++;
    for (; at > 0 && loop.strides[at - 1][0] < y.strides[d]; --at) {
      loop.sizes[at] = loop.sizes[at - 1];
      std::memcpy(loop.strides[at], loop.strides[at - 1], sizeof(loop.strides[at]));
    }
    loop.sizes[at] = y.sizes[d];
    for (int k = 0; k < count; ++k) loop.strides[at][k] = operands[k] == nullptr ? 0 : operands[k]->strides[d];
  }
  int kept = 0;
  for (int d = 1; d < loop.rank; ++d) {
    bool mergeable = true;
    for (int k = 0; k < count; ++k) mergeable &= loop.strides[kept][k] == loop.strides[d][k] * loop.sizes[d];
    if (mergeable) {
      loop.sizes[kept] *= loop.sizes[d];
    } else {
      loop.sizes[++kept] = loop.sizes[d];
    }
    std::memcpy(loop.strides[kept], loop.strides[d], sizeof(loop.strides[d]));
  }
  if (loop.rank > 0) loop.rank = kept + 1;
  return loop;
}

int64_t saturate(double value) {
  if (!(value > -9223372036854775808.0)) return value != value ? 0 : INT64_MIN;
  return value < 9223372036854775808.0 ? static_cast<int64_t>(value) : INT64_MAX;
}

}  // namespace

bool isContiguous(const View& view) {
  int64_t expected = 1;
  for (int d = view.rank - 1; d >= 0; --d) {
    if (view.sizes[d] != 1 && view.strides[d] != expected) return false;
    expected *= view.sizes[d];
  }
  return true;
}

void scalarOf(double value, DType dtype, void* out) {
  const auto put = [out](auto x) { std::memcpy(out, &x, sizeof(x)); };
  switch (dtype) {
    case DType::float32:
      return put(static_cast<float>(value));
    case DType::float64:
      return put(value);
    case DType::int32:
      return put(static_cast<uint32_t>(saturate(value)));
    case DType::int64:
      return put(saturate(value));
    case DType::uint8:
      return put(static_cast<uint8_t>(saturate(value)));
    default:
      return put(static_cast<uint8_t>(value != 0));
  }
}

void forEachRow(Context& context, const View& y, const Operand* inputs, int count, int64_t grain, RowFunction row) {
  const int64_t n = y.numel();
  if (n == 0) return;
  const View* operands[kMaxOperands] = {&y};
  char* base[kMaxOperands] = {y.as<char>()};
  int64_t item[kMaxOperands] = {itemSize(y.dtype)};
  int64_t scalars[kMaxOperands];
  bool flat = isContiguous(y);
  for (int k = 0; k < count; ++k) {
    const Operand& input = inputs[k];
    if (input.view->present()) {
      operands[k + 1] = input.view;
      base[k + 1] = input.view->as<char>();
      item[k + 1] = itemSize(input.view->dtype);
      flat = flat && isContiguous(*input.view);
    } else {
      operands[k + 1] = nullptr;
      scalarOf(input.scalar, input.dtype, &scalars[k]);
      base[k + 1] = reinterpret_cast<char*>(&scalars[k]);
      item[k + 1] = itemSize(input.dtype);
    }
  }
  ++count;

  int64_t inner[kMaxOperands];
  Loop loop;
  if (flat) {
    for (int k = 0; k < count; ++k) inner[k] = operands[k] == nullptr ? 0 : 1;
  } else {
    loop = mergeDims(y, operands, count);
    for (int k = 0; k < count; ++k) inner[k] = loop.rank == 0 ? 1 : loop.strides[loop.rank - 1][k];
  }
  // In place the lines are read anyhow.
  bool streamed = n * item[0] >= kStreamedBytes;
  for (int k = 1; k < count; ++k) streamed = streamed && base[k] != base[0];
  if (flat || loop.rank <= 1) {
    context.parallel(n, grain, [&](int64_t begin, int64_t end, int) {
      char* at[kMaxOperands];
      for (int k = 0; k < count; ++k) at[k] = base[k] + begin * inner[k] * item[k];
      row(at, inner, end - begin, streamed);
    });
    return;
  }

  const int last = loop.rank - 1;
  const int64_t width = loop.sizes[last];
  context.parallel(n, grain, [&](int64_t begin, int64_t end, int) {
    // Where the chunk begins; it may begin and end inside a row.
    int64_t index[kMaxRank];
    int64_t column = begin % width;
    int64_t rest = begin / width;
    char* at[kMaxOperands];
    for (int k = 0; k < count; ++k) at[k] = base[k];
    for (int d = last - 1; d >= 0; --d) {
      index[d] = rest % loop.sizes[d];
      rest /= loop.sizes[d];
      for (int k = 0; k < count; ++k) at[k] += index[d] * loop.strides[d][k] * item[k];
    }
    for (int64_t i = begin; i < end;) {
      const int64_t piece = width - column < end - i ? width - column : end - i;
      if (column == 0) {
        row(at, inner, piece, streamed);
      } else {
        char* inside[kMaxOperands];
        for (int k = 0; k < count; ++k) inside[k] = at[k] + column * inner[k] * item[k];
        row(inside, inner, piece, streamed);
        column = 0;
      }
      i += piece;
      for (int d = last - 1; d >= 0; --d) {
        for (int k = 0; k < count; ++k) at[k] += loop.strides[d][k] * item[k];
        if (++index[d] < loop.sizes[d]) break;
        for (int k = 0; k < count; ++k) at[k] -= loop.sizes[d] * loop.strides[d][k] * item[k];
        index[d] = 0;
      }
    }
  });
}

void runUnary(const char* op, const UnaryArgs& args, Context& context, int64_t grain, RowFunction row) {
  if (row == nullptr) return unsupported(context, op, args.x.dtype);
  const Operand inputs[] = {{&args.x, 0, args.x.dtype}};
  forEachRow(context, args.y, inputs, 1, grain, row);
}

void runBinary(const char* op, const BinaryArgs& args, Context& context, int64_t grain, RowFunction row) {
  const DType dtype = operandDType(args);
  if (row == nullptr) return unsupported(context, op, dtype);
  const Operand inputs[] = {{&args.a, args.aScalar, dtype}, {&args.b, args.bScalar, dtype}};
  forEachRow(context, args.y, inputs, 2, grain, row);
}

}  // namespace warploom::cpu
