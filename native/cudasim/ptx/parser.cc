#include <cstring>
#include <map>

#include "cudasim/ptx/parser_impl.h"

namespace warploom::cudasim {

void Parser::moduleItem() {
  if (accept(";")) return;
  if (peek().kind != TokenKind::dotted) fail("expected a directive before '" + peek().text + "'");
  const std::string word = peek().text;
  if (word == "version") {
    take();
    // The lexer reads 9.0 as one number with a point.
    const Token& number = take();
    if (number.kind == TokenKind::float64) {
      double value;
      std::memcpy(&value, &number.bits, 8);
      out_.module->versionMajor = static_cast<int>(value);
      out_.module->versionMinor = static_cast<int>((value - out_.module->versionMajor) * 10 + 0.5);
    } else {
      fail("expected a number behind .version");
    }
  } else if (word == "target") {
    take();
    do {
      const std::string target = name();
      if (target.rfind("sm_", 0) == 0) out_.module->target = std::atoi(target.c_str() + 3);
    } while (accept(","));
  } else if (word == "address_size") {
    take();
    if (integer() != 64) fail(".address_size must be 64");
  } else if (word == "file") {
    file();
  } else if (word == "loc") {
    location();
  } else if (word == "section") {
    section();
  } else if (word == "pragma") {
    while (!accept(";")) take();
  } else if (word == "alias") {
    fail(".alias is not modelled");
  } else {
    declaration();
  }
}

void Parser::file() {
  take();
  const std::size_t number = static_cast<std::size_t>(integer());
  if (out_.module->files.size() <= number) out_.module->files.resize(number + 1);
  out_.module->files[number] = take().text;
  while (accept(",")) take();
}

void Parser::location() {
  take();
  Location here;
  here.file = static_cast<int>(integer());
  here.line = static_cast<int>(integer());
  integer();
  if (accept(",")) {
    name();
    name();
    if (accept("+")) integer();
    expect(",");
    name();
    const int file = static_cast<int>(integer()), line = static_cast<int>(integer());
    integer();
    const auto found = locationOf_.find({file, line});
    if (found != locationOf_.end()) here.caller = found->second;
  }
  location_ = static_cast<int>(locations_.size());
  locations_.push_back(here);
  locationOf_[{here.file, here.line}] = location_;
}

void Parser::resolveLocations() {
  const std::vector<std::string>& files = out_.module->files;
  const auto foreign = [&](int file) {
    return static_cast<std::size_t>(file) < files.size() &&
           files[static_cast<std::size_t>(file)].find("/include/") != std::string::npos;
  };
  for (const auto& function : out_.functions) {
    for (Statement& statement : function->body) {
      int at = statement.line;
      if (at < 0) {
        statement.line = 0;
        continue;
      }
      for (int depth = 0; depth < 100 && foreign(locations_[static_cast<std::size_t>(at)].file) &&
                          locations_[static_cast<std::size_t>(at)].caller >= 0;
           ++depth) {
        at = locations_[static_cast<std::size_t>(at)].caller;
      }
      statement.file = locations_[static_cast<std::size_t>(at)].file;
      statement.line = locations_[static_cast<std::size_t>(at)].line;
    }
  }
}

void Parser::section() {
  take();
  take();
  expect("{");
  for (int depth = 1; depth > 0;) {
    if (peek().kind == TokenKind::end) fail("a .section does not end");
    if (is("{")) ++depth;
    if (is("}")) --depth;
    take();
  }
}

void Parser::resolvePending() {
  for (const Pending& entry : pending_) {
    const auto function = out_.byName.find(entry.symbol);
    if (function != out_.byName.end() && !function->second->entry) {
      const uint64_t address = functionAddress(out_, *function->second);
      std::memcpy(entry.global->init.data() + entry.offset, &address, 8);
      continue;
    }
    const auto found = scopes_[0].find(entry.symbol);
    if (found == scopes_[0].end() || found->second.kind != Symbol::variable || found->second.operand.id < 0) {
      throw PtxError(entry.line, "the initializer of " + entry.global->name + " names " + entry.symbol +
                                     ", which is neither a .global or .const variable nor a function");
    }
    entry.global->relocations.push_back({entry.offset, found->second.operand.id, entry.addend});
  }
}

std::vector<Param> Parser::parameters(bool formals, bool returns) {
  std::vector<Param> list;
  expect("(");
  uint32_t offset = 0;
  while (!is(")")) {
    if (!isDotted("param")) fail("a ." + peek().text + " parameter is not modelled");
    take();
    Param param;
    uint32_t align = 0;
    const Type* type = nullptr;
    while (peek().kind == TokenKind::dotted) {
      if (isDotted("align")) {
        take();
        align = static_cast<uint32_t>(integer());
      } else if (isDotted("ptr")) {
        take();  // .ptr .space .align N: what the pointer points to
        while (isDotted("global") || isDotted("const") || isDotted("local") || isDotted("shared")) take();
        if (isDotted("align")) {
          take();
          integer();
        }
      } else {
        type = findType(peek().text);
        if (type == nullptr) fail("a parameter of type ." + peek().text + " is not modelled");
        take();
      }
    }
    if (type == nullptr) fail("a parameter without a type");
    param.name = name();
    uint64_t count = 1;
    if (accept("[")) {
      count = is("]") ? 0 : static_cast<uint64_t>(integer());
      expect("]");
    }
    param.size = static_cast<uint32_t>(count * type->size);
    param.align = align != 0 ? align : type->size;
    offset = (offset + param.align - 1) / param.align * param.align;
    param.offset = offset;
    offset += param.size;
    Symbol symbol;
    symbol.kind = Symbol::variable;
    symbol.operand.kind = Operand::variable;
    symbol.operand.name = param.name;
    symbol.operand.space = Space::param;
    symbol.operand.formal = formals;
    // A call binds returns first, then arguments.
    symbol.operand.id = formals ? static_cast<int>(list.size()) + (returns ? 0 : 1000) : -1;
    symbol.operand.value = formals ? 0 : param.offset;
    scopes_.back()[param.name] = symbol;
    list.push_back(param);
    if (!accept(",")) break;
  }
  expect(")");
  return list;
}

void Parser::function() {
  const bool entry = take().text == "entry";
  auto made = std::make_unique<Function>();
  made->entry = entry;
  made->ptxLine = peek().line;
  scopes_.emplace_back();
  if (!entry && is("(")) made->returns = parameters(true, true);
  made->name = name();
  if (is("(")) made->params = parameters(!entry, false);
  attributes(*made);
  Function*& slot = out_.byName[made->name];
  if (accept(";")) {
    scopes_.pop_back();
    if (slot == nullptr) {
      slot = made.get();
      out_.functions.push_back(std::move(made));
    }
    return;
  }
  expect("{");
  made->defined = true;
  function_ = made.get();
  labels_.clear();
  location_ = -1;
  slot = made.get();
  out_.functions.push_back(std::move(made));
  body();
  for (const auto& label : labels_) {
    if (function_->labels[static_cast<std::size_t>(label.second.first)] < 0) {
      throw PtxError(label.second.second, "label " + label.first + " is not defined");
    }
  }
  scopes_.pop_back();
  function_ = nullptr;
}

void Parser::attributes(Function& made) {
  while (peek().kind == TokenKind::dotted) {
    const std::string word = take().text;
    uint32_t* three = word == "maxntid"   ? made.attributes.maxThreads
                      : word == "reqntid" ? made.attributes.reqThreads
                                          : nullptr;
    if (three != nullptr) {
      three[1] = three[2] = 1;
      int i = 0;
      do {
        three[i++] = static_cast<uint32_t>(integer());
      } while (i < 3 && accept(","));
    } else if (word == "minnctapersm") {
      made.attributes.minBlocks = static_cast<uint32_t>(integer());
    } else if (word == "maxnreg") {
      integer();
    } else if (word == "pragma") {
      while (!accept(";")) take();
    } else if (word != "noreturn") {
      fail("the attribute ." + word + " is not modelled");
    }
  }
}

ParsedModule parsePtx(const char* text, std::size_t length) { return Parser(text, length).run(); }

}  // namespace warploom::cudasim
