#include "cudasim/ptx/parser_impl.h"

namespace warploom::cudasim {

void Parser::body() {
  while (!accept("}")) {
    if (peek().kind == TokenKind::end) fail("a function does not end");
    statement();
  }
}

void Parser::statement() {
  if (accept(";")) return;
  if (accept("{")) {
    scopes_.emplace_back();
    blocks_.push_back(++blockIds_);
    body();
    blocks_.pop_back();
    scopes_.pop_back();
    return;
  }
  if (peek().kind == TokenKind::dotted) {
    directive();
    return;
  }
  if (peek().kind == TokenKind::word && peek(1).kind == TokenKind::punctuation && peek(1).text == ":") {
    const std::string label = take().text;
    take();
    if (isDotted("branchtargets")) {
      take();
      std::vector<int>& targets = function_->branchTargets[label];
      do {
        targets.push_back(labelId(name()));
      } while (accept(","));
      expect(";");
      return;
    }
    if (isDotted("callprototype") || isDotted("calltargets")) {
      callList(label);
      return;
    }
    // Inline assembly may define the same label in several blocks; the innermost wins.
    const int id = labelId(label, true);
    function_->labels[static_cast<std::size_t>(id)] = static_cast<int>(function_->body.size());
    return;
  }
  instruction();
}

void Parser::callList(const std::string& label) {
  CallList& list = function_->callLists[label];
  list.prototype = take().text == "callprototype";
  if (list.prototype) {
    // (returns) _ (parameters), both lists optional
    if (is("(")) list.returns = parameters(true, true);
    name();
    if (is("(")) list.params = parameters(true, false);
    while (!is(";")) take();
  } else {
    do {
      list.names.push_back(name());
    } while (accept(","));
  }
  expect(";");
}

void Parser::directive() {
  const std::string word = peek().text;
  if (word == "reg") {
    registers();
  } else if (word == "loc") {
    location();
  } else if (word == "pragma") {
    while (!accept(";")) take();
  } else if (word == "local" || word == "shared" || word == "param" || word == "global" || word == "const" ||
             word == "extern") {
    if (word == "extern") take();
    variable();
  } else {
    fail("the directive ." + word + " is not modelled");
  }
}

void Parser::registers() {
  take();
  if (isDotted("v2") || isDotted("v4")) fail("vector registers are not modelled");
  const Type* type = peek().kind == TokenKind::dotted ? findType(peek().text) : nullptr;
  if (type == nullptr) fail("." + peek().text + " is not a type of registers");
  take();
  do {
    const std::string registerName = name();
    if (accept("<")) {
      const int64_t count = integer();
      expect(">");
      for (int64_t i = 0; i < count; ++i) declareRegister(registerName + std::to_string(i), type->reg);
    } else {
      declareRegister(registerName, type->reg);
    }
  } while (accept(","));
  expect(";");
}

void Parser::declareRegister(const std::string& registerName, RegisterType type) {
  Symbol symbol;
  symbol.kind = Symbol::reg;
  symbol.id = static_cast<int>(function_->registers.size());
  function_->registers.push_back(type);
  scopes_.back()[registerName] = symbol;
}

int Parser::labelId(const std::string& label, bool define) {
  // A label belongs to the block that defines it; a use looks outward. Uses ahead of a definition are looked up by
  // scanning the tokens once, which inline assembly needs only for labels of its own block.
  std::string key = label;
  if (define) {
    key = scopedLabel(label, blocks_.size());
  } else {
    for (std::size_t depth = blocks_.size() + 1; depth-- > 0;) {
      key = scopedLabel(label, depth);
      if (depth == 0 || labels_.count(key) != 0 || definedAhead(label)) break;
    }
  }
  const auto [entry, isNew] = labels_.try_emplace(key, static_cast<int>(function_->labels.size()), peek().line);
  if (isNew) function_->labels.push_back(-1);
  return entry->second.first;
}

std::string Parser::scopedLabel(const std::string& label, std::size_t depth) const {
  return depth == 0 ? label : label + "#" + std::to_string(blocks_[depth - 1]);
}

bool Parser::definedAhead(const std::string& label) const {
  int depth = 0;
  for (std::size_t i = at_; i + 1 < tokens_.size(); ++i) {
    const Token& token = tokens_[i];
    if (token.kind == TokenKind::punctuation) {
      if (token.text == "{") ++depth;
      if (token.text == "}" && depth-- == 0) return false;
    }
    if (depth == 0 && token.kind == TokenKind::word && token.text == label && tokens_[i + 1].text == ":" &&
        tokens_[i + 1].kind == TokenKind::punctuation) {
      return true;
    }
  }
  return false;
}

const Symbol* Parser::lookup(const std::string& symbol) const {
  for (auto scope = scopes_.rbegin(); scope != scopes_.rend(); ++scope) {
    const auto found = scope->find(symbol);
    if (found != scope->end()) return &found->second;
  }
  return nullptr;
}

void Parser::instruction() {
  Statement statement;
  statement.ptxLine = peek().line;
  statement.line = location_;
  if (accept("@")) {
    statement.guardNegated = accept("!");
    const std::string guard = name();
    const Symbol* symbol = lookup(guard);
    if (symbol == nullptr || symbol->kind != Symbol::reg) fail("the predicate " + guard + " is not declared");
    statement.guard = symbol->id;
  }
  statement.ptxLine = peek().line;
  statement.opcode = name();
  while (peek().kind == TokenKind::dotted) statement.opcode += "." + take().text;
  if (!is(";")) {
    do {
      statement.operands.push_back(operand(statement));
      if (accept("|")) {
        statement.hasPair = true;
        statement.operands.push_back(operand(statement));
      }
    } while (accept(","));
  }
  expect(";");
  function_->body.push_back(std::move(statement));
}

Operand Parser::operand(const Statement& statement) {
  Operand result;
  if (accept("{") || (is("(") && statement.opcode.rfind("call", 0) == 0)) {
    const bool round = accept("(");
    result.kind = Operand::vector;
    const char* close = round ? ")" : "}";
    while (!is(close)) {
      result.parts.push_back(operand(statement));
      if (!accept(",")) break;
    }
    expect(close);
    return result;
  }
  if (accept("[")) {
    result.kind = Operand::address;
    result.parts.push_back(operand(statement));
    if (accept("+")) {
      result.value = integer();
    } else if (is("-")) {
      result.value = integer();
    }
    expect("]");
    return result;
  }
  if (accept("!")) {
    result = operand(statement);
    result.negated = true;
    return result;
  }
  if (is("-") && peek(1).kind == TokenKind::word) {  // of vmad
    take();
    result = operand(statement);
    result.name = "-" + result.name;
    return result;
  }
  if (peek().kind == TokenKind::float32 || peek().kind == TokenKind::float64 || peek().kind == TokenKind::integer ||
      is("-") || is("~")) {
    result.kind = Operand::immediate;
    const bool flip = accept("~");
    const bool minus = accept("-");
    const Token& token = take();
    result.literal = token.kind;
    result.value = static_cast<int64_t>(token.bits);
    if (token.kind == TokenKind::float64 && minus) result.value ^= INT64_MIN;
    if (token.kind == TokenKind::float32 && minus) result.value ^= 0x80000000;
    if (token.kind == TokenKind::integer && minus) result.value = static_cast<int64_t>(0 - token.bits);
    if (flip) result.value = ~result.value;
    return result;
  }
  const std::string word = name();
  if (word == "_") return result;
  if (word == "WARP_SZ") {
    result.kind = Operand::immediate;
    result.value = 32;
    return result;
  }
  const Symbol* symbol = lookup(word);
  if (symbol != nullptr) {
    if (symbol->kind == Symbol::reg) {
      result.kind = Operand::reg;
      result.id = symbol->id;
      if (peek().kind == TokenKind::dotted) result.name = take().text;  // the part that a video instruction selects
    } else {
      result = symbol->operand;
      if (is("+") && peek(1).kind == TokenKind::integer && statement.opcode.rfind("mov", 0) == 0) {
        take();
        result.value += integer();
      }
    }
    return result;
  }
  if (word[0] == '%') {
    result.kind = Operand::special;
    result.name = word;
    while (peek().kind == TokenKind::dotted) result.name += "." + take().text;
    return result;
  }
  if (statement.opcode.rfind("bra", 0) == 0) {
    result.kind = Operand::label;
    result.id = labelId(word);
    return result;
  }
  if (statement.opcode.rfind("call", 0) == 0 || statement.opcode.rfind("brx", 0) == 0 || out_.byName.count(word) != 0) {
    result.kind = Operand::function;
    result.name = word;
    return result;
  }
  fail("the name " + word + " is not declared");
}

}  // namespace warploom::cudasim
