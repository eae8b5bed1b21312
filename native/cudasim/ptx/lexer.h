// Splits PTX text into tokens.
#pragma once

#include <cstddef>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <vector>

namespace warploom::cudasim {

// What is wrong with the text, and where.
class PtxError : public std::runtime_error {
 public:
  PtxError(int line, const std::string& what)
      : std::runtime_error("line " + std::to_string(line) + ": " + what), line_(line) {}
  int line() const { return line_; }

 private:
  int line_;
};

enum class TokenKind : uint8_t {
  word,         // add, %r1, $L__BB0_1, _
  dotted,       // .reg, .L2::128B, .f32: text without the dot
  integer,      // value in bits
  float32,      // 0f3F800000, bits in bits
  float64,      // 0d..., or a decimal number with a point
  string,       // "text" without the quotes
  punctuation,  // one character in text
  end,
};

struct Token {
  TokenKind kind = TokenKind::end;
  int line = 0;
  bool isUnsigned = false;  // an integer with the suffix U
  uint64_t bits = 0;
  std::string text;
};

// Throws PtxError on a character that PTX does not have.
std::vector<Token> tokenize(const char* text, std::size_t length);

}  // namespace warploom::cudasim
