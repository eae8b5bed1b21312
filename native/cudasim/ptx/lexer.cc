#include "cudasim/ptx/lexer.h"

#include <cctype>
#include <cstdlib>
#include <cstring>

namespace warploom::cudasim {

namespace {

bool isWordStart(char c) { return std::isalpha(static_cast<unsigned char>(c)) || c == '_' || c == '$' || c == '%'; }
bool isWord(char c) { return std::isalnum(static_cast<unsigned char>(c)) || c == '_' || c == '$'; }

class Lexer {
 public:
  Lexer(const char* text, std::size_t length) : at_(text), end_(text + length) {}

  std::vector<Token> run() {
    std::vector<Token> tokens;
    tokens.reserve(static_cast<std::size_t>(end_ - at_) / 4);
    for (;;) {
      skipBlanks();
      if (at_ == end_ || *at_ == '\0') break;
      tokens.push_back(next());
    }
    Token last;
    last.line = line_;
    tokens.push_back(last);
    return tokens;
  }

 private:
  char peek(int ahead = 0) const { return at_ + ahead < end_ ? at_[ahead] : '\0'; }

  void skipBlanks() {
    while (at_ < end_) {
      if (*at_ == '\n') {
        ++line_;
        ++at_;
      } else if (std::isspace(static_cast<unsigned char>(*at_))) {
        ++at_;
      } else if (*at_ == '/' && peek(1) == '/') {
        while (at_ < end_ && *at_ != '\n') ++at_;
      } else if (*at_ == '/' && peek(1) == '*') {
        at_ += 2;
        while (at_ < end_ && !(*at_ == '*' && peek(1) == '/')) {
          if (*at_ == '\n') ++line_;
          ++at_;
        }
        at_ = at_ + 2 <= end_ ? at_ + 2 : end_;
      } else {
        break;
      }
    }
  }

  Token next() {
    Token token;
    token.line = line_;
    const char c = *at_;
    if (isWordStart(c)) {
      token.kind = TokenKind::word;
      const char* start = at_++;
      while (isWord(peek())) ++at_;
      token.text.assign(start, at_);
    } else if (c == '.' && (isWord(peek(1)))) {
      token.kind = TokenKind::dotted;
      const char* start = ++at_;
      while (isWord(peek()) || (peek() == ':' && peek(1) == ':')) at_ += peek() == ':' ? 2 : 1;
      token.text.assign(start, at_);
    } else if (std::isdigit(static_cast<unsigned char>(c))) {
      number(token);
    } else if (c == '"') {
      token.kind = TokenKind::string;
      const char* start = ++at_;
      while (at_ < end_ && *at_ != '"' && *at_ != '\n') ++at_;
      token.text.assign(start, at_);
      if (peek() != '"') throw PtxError(line_, "a string does not end");
      ++at_;
    } else if (std::strchr("{}()[]<>,;:=+-*/!@|&^~?", c) != nullptr) {
      token.kind = TokenKind::punctuation;
      token.text.assign(1, c);
      ++at_;
    } else {
      throw PtxError(line_, std::string("unexpected character '") + c + "'");
    }
    return token;
  }

  void number(Token& token) {
    const char* start = at_;
    if (*at_ == '0' && (peek(1) == 'f' || peek(1) == 'F' || peek(1) == 'd' || peek(1) == 'D')) {
      const bool single = peek(1) == 'f' || peek(1) == 'F';
      at_ += 2;
      const char* digits = at_;
      while (std::isxdigit(static_cast<unsigned char>(peek()))) ++at_;
      if (at_ - digits != (single ? 8 : 16)) throw PtxError(line_, "a hexadecimal float of the wrong length");
      token.kind = single ? TokenKind::float32 : TokenKind::float64;
      token.bits = std::strtoull(std::string(digits, at_).c_str(), nullptr, 16);
      return;
    }
    token.kind = TokenKind::integer;
    if (*at_ == '0' && (peek(1) == 'x' || peek(1) == 'X')) {
      at_ += 2;
      while (std::isxdigit(static_cast<unsigned char>(peek()))) ++at_;
      token.bits = std::strtoull(std::string(start, at_).c_str(), nullptr, 16);
    } else if (*at_ == '0' && (peek(1) == 'b' || peek(1) == 'B')) {
      at_ += 2;
      const char* digits = at_;
      while (peek() == '0' || peek() == '1') ++at_;
      token.bits = std::strtoull(std::string(digits, at_).c_str(), nullptr, 2);
    } else {
      while (std::isdigit(static_cast<unsigned char>(peek()))) ++at_;
      const bool exponent = (peek() == 'e' || peek() == 'E') &&
                            (std::isdigit(static_cast<unsigned char>(peek(1))) || peek(1) == '-' || peek(1) == '+');
      if ((peek() == '.' && std::isdigit(static_cast<unsigned char>(peek(1)))) || exponent) {
        char* stop = nullptr;
        const std::string rest(start, static_cast<std::size_t>(end_ - start) < 64 ? end_ : start + 64);
        const double value = std::strtod(rest.c_str(), &stop);
        at_ = start + (stop - rest.c_str());
        token.kind = TokenKind::float64;
        std::memcpy(&token.bits, &value, 8);
        return;
      }
      token.bits = std::strtoull(std::string(start, at_).c_str(), nullptr, *start == '0' && at_ - start > 1 ? 8 : 10);
    }
    if (peek() == 'U' || peek() == 'u') {
      token.isUnsigned = true;
      ++at_;
    }
  }

  const char* at_;
  const char* end_;
  int line_ = 1;
};

}  // namespace

std::vector<Token> tokenize(const char* text, std::size_t length) { return Lexer(text, length).run(); }

}  // namespace warploom::cudasim
