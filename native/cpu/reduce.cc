// sum, mean, max, min over any dims of a strided view. argmax and argmin are in reduce_arg.cc.
#ifndef WL_ISA
#include "cpu/elementwise_loop.h"
#include "cpu/operands.h"
#include "cpu/prelude.h"
#include "cpu/reduce_plan.h"
#define WL_ISA_FILE "cpu/reduce.cc"
#include "cpu/foreach_isa.h"
#else
#include "cpu/dtypes.h"
#include "cpu/reduce_rows.h"

namespace {

int64_t partialBytes(const ReduceArgs& args) {
  const ReducePlan plan = planReduce(args, false);
  return plan.chunks == 1 ? 0 : plan.outputs * plan.chunks * int64_t{sizeof(double)};
}

template <class T>
void sumOf(const ReduceArgs& args, Context& context) {
  T* y = args.y.as<T>();
  reduceAll<SumOf>(planReduce(args, false), args.x.as<const T>(), context.scratch(), context,
                   [y](int64_t output, T sum) { y[output] = sum; });
}

template <class T>
void meanOf(const ReduceArgs& args, Context& context) {
  T* y = args.y.as<T>();
  const ReducePlan plan = planReduce(args, false);
  const double count = static_cast<double>(plan.count);
  reduceAll<SumOf>(plan, args.x.as<const T>(), context.scratch(), context,
                   [y, count](int64_t output, T sum) { y[output] = static_cast<T>(static_cast<double>(sum) / count); });
}

template <class R, class T>
void extremeOf(const ReduceArgs& args, Context& context) {
  T* y = args.y.as<T>();
  reduceAll<R>(planReduce(args, false), args.x.as<const T>(), context.scratch(), context,
               [y](int64_t output, T value) { y[output] = value; });
}

template <class R>
void extreme(const char* op, const ReduceArgs& args, Context& context) {
  if (args.y.dtype != args.x.dtype) return unsupported(context, op, args.y.dtype);
  runTyped<float, double, int32_t, int64_t, uint8_t, bool>(
      context, op, args.x.dtype, [&](auto zero) { extremeOf<R, decltype(zero)>(args, context); });
}

// Integers: any order gives the same sum modulo 2^64, and int32 is that modulo 2^32, so plain loops serve every layout.
template <class From, class To>
void integerSum(const ReduceArgs& args, Context& context) {
  const ReducePlan plan = planReduce(args, false);
  const From* x = args.x.as<const From>();
  To* y = args.y.as<To>();
  uint64_t* const partial = static_cast<uint64_t*>(context.scratch());
  const int64_t chunks = plan.chunks;
  const int64_t stride = plan.reduced.innerStride();
  const int64_t perTask = std::max<int64_t>(1, std::min(plan.count, plan.chunk));
  context.parallel(plan.outputs * chunks, std::max<int64_t>(1, kReduceGrain / perTask),
                   [&](int64_t first, int64_t last, int) {
                     for (int64_t t = first; t < last; ++t) {
                       const From* from = x + plan.kept.offsetOf(t / chunks);
                       const int64_t chunk = t % chunks;
                       uint64_t sum = 0;
                       eachRun(plan.reduced, chunk * plan.chunk, plan.chunkEnd(chunk), [&](int64_t offset, int64_t n) {
                         const From* run = from + offset;
                         uint64_t part = 0;
                         if (stride == 1) {
                           for (int64_t i = 0; i < n; ++i) part += static_cast<uint64_t>(static_cast<int64_t>(run[i]));
                         } else {
                           for (int64_t i = 0; i < n; ++i)
                             part += static_cast<uint64_t>(static_cast<int64_t>(run[i * stride]));
                         }
                         sum += part;
                       });
                       if (chunks == 1) {
                         y[t] = static_cast<To>(sum);
                       } else {
                         partial[t] = sum;
                       }
                     }
                   });
  if (chunks == 1) return;
  for (int64_t o = 0; o < plan.outputs; ++o) {
    uint64_t sum = 0;
    for (int64_t c = 0; c < chunks; ++c) sum += partial[o * chunks + c];
    y[o] = static_cast<To>(sum);
  }
}

template <class From>
void integerSumOf(const ReduceArgs& args, Context& context) {
  runTyped<int32_t, int64_t>(context, "sum", args.y.dtype, [&](auto zero) {
    using To = std::make_unsigned_t<decltype(zero)>;
    integerSum<From, To>(args, context);
  });
}

}  // namespace

namespace ops {

void sum(const ReduceArgs& args, Context& context) {
  const auto ofIntegers = [&](auto zero) { integerSumOf<decltype(zero)>(args, context); };
  if (withType<int32_t, int64_t, uint8_t, bool>(args.x.dtype, ofIntegers)) return;
  if (args.y.dtype != args.x.dtype) return unsupported(context, "sum", args.y.dtype);
  runTyped<float, double>(context, "sum", args.x.dtype, [&](auto zero) { sumOf<decltype(zero)>(args, context); });
}

void mean(const ReduceArgs& args, Context& context) {
  if (args.y.dtype != args.x.dtype) return unsupported(context, "mean", args.y.dtype);
  runTyped<float, double>(context, "mean", args.x.dtype, [&](auto zero) { meanOf<decltype(zero)>(args, context); });
}

void max(const ReduceArgs& args, Context& context) { extreme<MaxOf>("max", args, context); }
void min(const ReduceArgs& args, Context& context) { extreme<MinOf>("min", args, context); }

int64_t sumScratch(const ReduceArgs& args, int) { return partialBytes(args); }
int64_t meanScratch(const ReduceArgs& args, int) { return partialBytes(args); }
int64_t maxScratch(const ReduceArgs& args, int) { return partialBytes(args); }
int64_t minScratch(const ReduceArgs& args, int) { return partialBytes(args); }

}  // namespace ops
#endif
