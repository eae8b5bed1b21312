// g++ 12 calls this where a vector would grow past PTRDIFF_MAX; libstdc++ has it from GLIBCXX 3.4.29 (GCC 11) on only.
// Defined here, the addon brings its own and loads beside older C++ libraries.
#include <new>

namespace std {

void __throw_bad_array_new_length() { throw bad_array_new_length(); }

}  // namespace std
