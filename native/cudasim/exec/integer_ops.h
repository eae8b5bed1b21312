// Writes an operation on one lane, for the templates of lane_ops.h: OP2(Add, a + b) makes Add<T>::f(T a, T b).
#pragma once

#define OP1(NAME, EXPRESSION)                              \
  template <class T>                                       \
  struct NAME {                                            \
    static T f(T a) { return static_cast<T>(EXPRESSION); } \
  };
#define OP2(NAME, EXPRESSION)                                   \
  template <class T>                                            \
  struct NAME {                                                 \
    static T f(T a, T b) { return static_cast<T>(EXPRESSION); } \
  };
#define OP3(NAME, EXPRESSION)                                        \
  template <class T>                                                 \
  struct NAME {                                                      \
    static T f(T a, T b, T c) { return static_cast<T>(EXPRESSION); } \
  };
#define SHIFT(NAME, EXPRESSION)                                        \
  template <class T>                                                   \
  struct NAME {                                                        \
    static T f(T a, uint32_t b) { return static_cast<T>(EXPRESSION); } \
  };
