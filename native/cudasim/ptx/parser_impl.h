// The recursive-descent parser of PTX, in three parts: module items and functions (parser.cc), variables and their
// initial values (parser_variables.cc), statements and operands (parser_statements.cc).
#pragma once

#include <cstring>
#include <map>
#include <utility>

#include "cudasim/ptx/ast.h"

namespace warploom::cudasim {

struct Type {
  const char* name;
  uint32_t size;
  RegisterType reg;
};
// Null for a name that is no type.
const Type* findType(const std::string& name);

struct Symbol {
  enum Kind { reg, variable, label } kind = reg;
  int id = -1;
  Operand operand;
};

class Parser {
 public:
  Parser(const char* text, std::size_t length) : tokens_(tokenize(text, length)) {
    out_.module = std::make_unique<Module>();
    scopes_.emplace_back();
  }

  ParsedModule run() {
    while (peek().kind != TokenKind::end) moduleItem();
    resolvePending();
    resolveLocations();
    return std::move(out_);
  }

 private:
  const Token& peek(int ahead = 0) const {
    const std::size_t i = at_ + static_cast<std::size_t>(ahead);
    return i < tokens_.size() ? tokens_[i] : tokens_.back();
  }
  const Token& take() { return tokens_[at_ + 1 < tokens_.size() ? at_++ : at_]; }
  bool is(const char* mark) const { return peek().kind == TokenKind::punctuation && peek().text == mark; }
  bool isDotted(const char* name) const { return peek().kind == TokenKind::dotted && peek().text == name; }
  bool accept(const char* mark) {
    if (!is(mark)) return false;
    take();
    return true;
  }
  [[noreturn]] void fail(const std::string& what) const { throw PtxError(peek().line, what); }
  void expect(const char* mark) {
    if (!accept(mark)) fail(std::string("expected '") + mark + "' before '" + peek().text + "'");
  }
  std::string name() {
    if (peek().kind != TokenKind::word) fail("expected a name before '" + peek().text + "'");
    return take().text;
  }
  int64_t integer() {
    const bool minus = accept("-");
    if (peek().kind == TokenKind::word && peek().text == "WARP_SZ") {
      take();
      return minus ? -32 : 32;
    }
    if (peek().kind != TokenKind::integer) fail("expected an integer before '" + peek().text + "'");
    const uint64_t value = take().bits;
    return static_cast<int64_t>(minus ? 0 - value : value);
  }

  void moduleItem();

  void file();
  // .loc FILE LINE COLUMN [, function_name LABEL [+ N], inlined_at FILE LINE COLUMN]: the place of the call was the
  // subject of a .loc just before.
  void location();
  // .file stands at the end of the text, so places are looked up last. Code of the toolkit's headers is shown at the
  // line of the kernel that calls it.
  void resolveLocations();
  void section();

  void declaration();

  // .global .align 4 .b8 name[16] = {...}; also .shared, .const, .local, .param inside functions.
  void variable();

  Global* place(const std::string& space, const std::string& variableName, uint32_t align, const Type& type,
                uint64_t count, bool sized, int line);

  void initializer(Global& global, const Type& type, bool array, bool sized);
  uint64_t literal(const Type& type);
  void resolvePending();

  std::vector<Param> parameters(bool formals, bool returns);

  void function();

  void attributes(Function& made);

  // One brace block, its "{" taken; a block inside shadows names.
  void body();
  void statement();

  void directive();
  void callList(const std::string& label);

  void registers();
  void declareRegister(const std::string& registerName, RegisterType type);

  int labelId(const std::string& label, bool define = false);
  std::string scopedLabel(const std::string& label, std::size_t depth) const;
  // Whether the rest of the innermost block defines the label.
  bool definedAhead(const std::string& label) const;

  const Symbol* lookup(const std::string& symbol) const;

  void instruction();

  Operand operand(const Statement& statement);

  struct Pending {
    Global* global;
    uint64_t offset;
    std::string symbol;
    int64_t addend;
    int line;
  };
  std::vector<Token> tokens_;
  std::size_t at_ = 0;
  ParsedModule out_;
  Function* function_ = nullptr;
  std::vector<std::unordered_map<std::string, Symbol>> scopes_;
  std::vector<int> blocks_;
  int blockIds_ = 0;
  std::unordered_map<std::string, std::pair<int, int>> labels_;  // id, line of the first mention
  std::vector<Pending> pending_;
  struct Location {
    int file = 0, line = 0;
    int caller = -1;
  };
  std::vector<Location> locations_;
  std::map<std::pair<int, int>, int> locationOf_;
  int location_ = -1;
};

}  // namespace warploom::cudasim
