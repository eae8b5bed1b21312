// One operation on all lanes of a warp, for integer types of any width.
#pragma once

#include <type_traits>

#include "cudasim/exec/machine.h"

namespace warploom::cudasim {

// A lane of a register holds 32 or 64 bits; an operation on 16 bits takes the low half and leaves a clean high half.
template <class T>
using Lane = std::conditional_t<sizeof(T) == 8, uint64_t, uint32_t>;
template <class T>
inline Lane<T> lane(T value) {
  return static_cast<Lane<T>>(value);
}
template <class T>
using Unsigned = std::make_unsigned_t<T>;

template <class T, class Op>
void unary(Warp& w, const Instruction& in, uint32_t mask) {
  map1<Lane<T>, Lane<T>>(w, in, mask, [](Lane<T> a) { return lane<T>(Op::f(static_cast<T>(a))); });
}
template <class T, class Op>
void binary(Warp& w, const Instruction& in, uint32_t mask) {
  map2<Lane<T>, Lane<T>, Lane<T>>(
      w, in, mask, [](Lane<T> a, Lane<T> b) { return lane<T>(Op::f(static_cast<T>(a), static_cast<T>(b))); });
}
template <class T, class Op>
void ternary(Warp& w, const Instruction& in, uint32_t mask) {
  map3<Lane<T>, Lane<T>, Lane<T>, Lane<T>>(w, in, mask, [](Lane<T> a, Lane<T> b, Lane<T> c) {
    return lane<T>(Op::f(static_cast<T>(a), static_cast<T>(b), static_cast<T>(c)));
  });
}
template <class T, class Op>
void shift(Warp& w, const Instruction& in, uint32_t mask) {
  map2<Lane<T>, Lane<T>, uint32_t>(w, in, mask,
                                   [](Lane<T> a, uint32_t b) { return lane<T>(Op::f(static_cast<T>(a), b)); });
}

}  // namespace warploom::cudasim
