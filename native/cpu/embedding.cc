// Rows of a table by index, and the gradient of the table.
#ifndef WL_ISA

#include "cpu/operands.h"
#include "cpu/prelude.h"

#define WL_ISA_FILE "cpu/embedding.cc"
#include "cpu/foreach_isa.h"

#else

#include "cpu/dtypes.h"
#include "cpu/rows.h"

namespace embeddings {

constexpr int64_t kChunkElements = 16384;

template <class T>
static void forward(const EmbeddingArgs& args, Context& context) {
  const int64_t V = args.weight.sizes[0], D = args.weight.sizes[1], N = args.index.numel();
  const T* weight = args.weight.as<const T>();
  T* y = args.y.as<T>();
  if (D == 0) return;
  context.parallel(N, grainFor(kChunkElements, D), [&](int64_t begin, int64_t end, int) {
    for (int64_t p = begin; p < end; ++p) {
      const int64_t v = readIndex(args.index, p);
      const std::size_t bytes = static_cast<std::size_t>(D) * sizeof(T);
      if (v >= 0 && v < V) {
        __builtin_memcpy(y + p * D, weight + v * D, bytes);
      } else {
        context.indexError("embedding", v, V);
        __builtin_memset(y + p * D, 0, bytes);
      }
    }
  });
}

// The rows of the table are dealt out to this many owners: a power of two from the shape alone, so that v & (owners -
// 1) names the owner of row v. Dealing (rather than cutting) spreads frequent rows, which in vocabularies sit together
// at the front.
static int64_t ownersOf(int64_t V, int64_t D) {
  int64_t owners = 1;
  while (owners < 16 && owners * 2 <= V && owners * 2 * 4 * kChunkElements <= V * D) owners *= 2;
  return owners;
}

// Each owner reads every index in order and adds the rows it owns, so a row is summed in ascending order of position by
// one thread, whichever and however many there are.
template <class T>
static void backward(const EmbeddingBackwardArgs& args, Context& context) {
  const int64_t V = args.dweight.sizes[0], D = args.dweight.sizes[1], N = args.index.numel();
  const T* g = args.g.as<const T>();
  T* dweight = args.dweight.as<T>();
  if (D == 0) return;
  const int64_t owners = ownersOf(V, D);
  context.parallel(owners, 1, [&](int64_t begin, int64_t end, int) {
    for (int64_t owner = begin; owner < end; ++owner) {
      for (int64_t v = owner; v < V; v += owners) {
        __builtin_memset(dweight + v * D, 0, static_cast<std::size_t>(D) * sizeof(T));
      }
      for (int64_t p = 0; p < N; ++p) {
        if ((p & 4095) == 0 && context.cancelled()) return;
        const int64_t v = readIndex(args.index, p);
        if (v < 0 || v >= V) {
          if (owner == 0) context.indexError("embeddingBackward", v, V);
          continue;
        }
        if ((v & (owners - 1)) != owner || v == args.paddingIdx) continue;
        T* sum = dweight + v * D;
        eachVector<T>(
            D, [&](int64_t i, int count) __attribute__((always_inline)) {
              const VectorOf<T> before = loadRow<true>(static_cast<const T*>(sum), 1, i, count, T{0});
              storeRow<true>(sum, 1, i, count, before + loadRow<true>(g + p * D, 1, i, count, T{0}));
            });
      }
    }
  });
}

}  // namespace embeddings

namespace ops {

void embedding(const EmbeddingArgs& args, Context& context) {
  if (!checkFloats(context, "embedding", args.weight, args.y) || !checkIndices(context, "embedding", args.index))
    return;
  withType<float, double>(args.weight.dtype, [&](auto zero) { embeddings::forward<decltype(zero)>(args, context); });
}

int64_t embeddingBackwardScratch(const EmbeddingBackwardArgs&, int) { return 0; }

void embeddingBackward(const EmbeddingBackwardArgs& args, Context& context) {
  if (!checkFloats(context, "embeddingBackward", args.g, args.dweight)) return;
  if (!checkIndices(context, "embeddingBackward", args.index)) return;
  withType<float, double>(args.g.dtype, [&](auto zero) { embeddings::backward<decltype(zero)>(args, context); });
}

}  // namespace ops

#endif
