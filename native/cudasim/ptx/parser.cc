#include <cstring>
#include <map>

#include "cudasim/ptx/ast.h"

namespace warploom::cudasim {

namespace {

struct Type {
  const char* name;
  uint32_t size;
  RegisterType reg;
};
const Type* findType(const std::string& name) {
  static const Type types[] = {
      {"pred", 0, RegisterType::predicate}, {"b8", 1, RegisterType::bits8},     {"u8", 1, RegisterType::bits8},
      {"s8", 1, RegisterType::bits8},       {"b16", 2, RegisterType::bits16},   {"u16", 2, RegisterType::bits16},
      {"s16", 2, RegisterType::bits16},     {"f16", 2, RegisterType::bits16},   {"bf16", 2, RegisterType::bits16},
      {"b32", 4, RegisterType::bits32},     {"u32", 4, RegisterType::bits32},   {"s32", 4, RegisterType::bits32},
      {"f32", 4, RegisterType::bits32},     {"f16x2", 4, RegisterType::bits32}, {"bf16x2", 4, RegisterType::bits32},
      {"b64", 8, RegisterType::bits64},     {"u64", 8, RegisterType::bits64},   {"s64", 8, RegisterType::bits64},
      {"f64", 8, RegisterType::bits64},     {"b128", 16, RegisterType::bits128}};
  for (const Type& type : types) {
    if (name == type.name) return &type;
  }
  return nullptr;
}

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
    const int64_t value = static_cast<int64_t>(take().bits);
    return minus ? -value : value;
  }

  void moduleItem() {
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

  void file() {
    take();
    const std::size_t number = static_cast<std::size_t>(integer());
    if (out_.module->files.size() <= number) out_.module->files.resize(number + 1);
    out_.module->files[number] = take().text;
    while (accept(",")) take();
  }
  // .loc FILE LINE COLUMN [, function_name LABEL [+ N], inlined_at FILE LINE COLUMN]: the place of the call was the
  // subject of a .loc just before.
  void location() {
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
  // .file stands at the end of the text, so places are looked up last. Code of the toolkit's headers is shown at the
  // line of the kernel that calls it.
  void resolveLocations() {
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
  void section() {
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

  void declaration() {
    bool isExtern = false;
    while (isDotted("visible") || isDotted("extern") || isDotted("weak") || isDotted("common")) {
      isExtern = isExtern || peek().text == "extern";
      take();
    }
    if (isDotted("entry") || isDotted("func")) {
      function();
    } else {
      variable();
    }
  }

  // .global .align 4 .b8 name[16] = {...}; also .shared, .const, .local, .param inside functions.
  void variable() {
    const int line = peek().line;
    const std::string space = take().text;
    uint32_t align = 0;
    while (isDotted("align") || isDotted("attribute") || isDotted("ptr")) {
      if (isDotted("align")) {
        take();
        align = static_cast<uint32_t>(integer());
      } else {
        fail("." + peek().text + " of a variable is not modelled");
      }
    }
    uint32_t lanes = 1;
    if (isDotted("v2") || isDotted("v4")) lanes = take().text == "v2" ? 2 : 4;
    const Type* type = peek().kind == TokenKind::dotted ? findType(peek().text) : nullptr;
    if (type == nullptr || type->size == 0) fail("." + peek().text + " is not a type of variables that is modelled");
    take();
    do {
      const std::string variableName = name();
      uint64_t count = lanes;
      bool sized = true, array = false;
      if (accept("<")) {
        const int64_t many = integer();
        expect(">");
        for (int64_t i = 0; i < many; ++i) {
          place(space, variableName + std::to_string(i), align, *type, lanes, true, line);
        }
        continue;
      }
      while (accept("[")) {
        array = true;
        if (is("]")) {
          sized = false;
        } else {
          count *= static_cast<uint64_t>(integer());
        }
        expect("]");
      }
      Global* global = place(space, variableName, align, *type, sized ? count : 0, sized, line);
      if (accept("=")) {
        if (global == nullptr) fail("only .global and .const variables have initial values");
        initializer(*global, *type, array, sized);
      }
    } while (accept(","));
    expect(";");
  }

  Global* place(const std::string& space, const std::string& variableName, uint32_t align, const Type& type,
                uint64_t count, bool sized, int line) {
    const uint64_t bytes = count * type.size;
    if (align == 0) align = type.size;
    Symbol symbol;
    symbol.kind = Symbol::variable;
    Operand& operand = symbol.operand;
    operand.kind = Operand::variable;
    operand.name = variableName;
    const auto carve = [&](uint32_t& used) {
      used = (used + align - 1) / align * align;
      operand.value = used;
      used += static_cast<uint32_t>(bytes);
    };
    if (space == "global" || space == "const") {
      auto global = std::make_unique<Global>();
      global->name = variableName;
      global->constant = space == "const";
      global->size = bytes;
      global->align = align;
      operand.space = global->constant ? Space::constant : Space::global;
      operand.id = static_cast<int>(out_.module->globals.size());
      out_.module->globals.push_back(std::move(global));
      scopes_[function_ == nullptr ? 0 : scopes_.size() - 1][variableName] = symbol;
      return out_.module->globals.back().get();
    }
    if (space == "shared") {
      operand.space = Space::shared;
      if (!sized) {
        operand.dynamicShared = true;
      } else {
        carve(function_ == nullptr ? out_.moduleSharedBytes : function_->sharedBytes);
        // A function's own variables are counted from its own start; the decoder moves them behind the module's.
        operand.formal = function_ != nullptr;
      }
    } else if (space == "local" || (space == "param" && function_ != nullptr)) {
      if (function_ == nullptr) throw PtxError(line, ".local variables of module scope are not modelled");
      operand.space = Space::local;
      carve(function_->localBytes);
    } else {
      throw PtxError(line, "." + space + " variables are not modelled");
    }
    scopes_.back()[variableName] = symbol;
    return nullptr;
  }

  void initializer(Global& global, const Type& type, bool array, bool sized) {
    std::vector<uint8_t>& bytes = global.init;
    const auto value = [&]() {
      uint64_t bits = 0;
      if (peek().kind == TokenKind::word && peek().text != "WARP_SZ") {
        // name, generic(name), name+8, or mask(name): only the first three.
        std::string symbol = name();
        const bool generic = symbol == "generic";
        if (generic) {
          expect("(");
          symbol = name();
          expect(")");
        } else if (is("(")) {
          fail(symbol + "() in an initializer is not modelled");
        }
        int64_t addend = 0;
        if (accept("+")) addend = integer();
        if (type.size != 8) fail("an address needs a variable of 64 bits");
        pending_.push_back({&global, bytes.size(), symbol, addend, peek().line});
      } else {
        bits = literal(type);
      }
      for (uint32_t i = 0; i < type.size; ++i) bytes.push_back(static_cast<uint8_t>(bits >> (8 * i)));
    };
    if (!array) {
      value();
    } else {
      int depth = 0;
      do {
        while (accept("{")) ++depth;
        if (!is("}")) value();
        while (depth > 0 && accept("}")) --depth;
      } while (accept(",") || depth > 0);
    }
    if (!sized) global.size = bytes.size();
    if (bytes.size() > global.size) fail("an initializer is longer than its variable " + global.name);
    bytes.resize(global.size);
  }
  uint64_t literal(const Type& type) {
    const bool minus = is("-");
    if (minus && peek(1).kind != TokenKind::integer) {
      take();
      const Token& token = take();
      double value;
      std::memcpy(&value, &token.bits, 8);
      value = -value;
      uint64_t bits = 0;
      if (type.size == 4) {
        const float single = static_cast<float>(value);
        std::memcpy(&bits, &single, 4);
      } else {
        std::memcpy(&bits, &value, 8);
      }
      return bits;
    }
    if (peek().kind == TokenKind::float32) return take().bits;
    if (peek().kind == TokenKind::float64) {
      const uint64_t bits = take().bits;
      if (type.size == 8) return bits;
      double value;
      std::memcpy(&value, &bits, 8);
      const float single = static_cast<float>(value);
      uint32_t narrow;
      std::memcpy(&narrow, &single, 4);
      return narrow;
    }
    return static_cast<uint64_t>(integer());
  }
  void resolvePending() {
    for (const Pending& entry : pending_) {
      const auto found = scopes_[0].find(entry.symbol);
      if (found == scopes_[0].end() || found->second.kind != Symbol::variable || found->second.operand.id < 0) {
        throw PtxError(entry.line, "the initializer of " + entry.global->name + " names " + entry.symbol +
                                       ", which is not a .global or .const variable");
      }
      entry.global->relocations.push_back({entry.offset, found->second.operand.id, entry.addend});
    }
  }

  std::vector<Param> parameters(bool formals, bool returns) {
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

  void function() {
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

  void attributes(Function& made) {
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

  // One brace block, its "{" taken; a block inside shadows names.
  void body() {
    while (!accept("}")) {
      if (peek().kind == TokenKind::end) fail("a function does not end");
      statement();
    }
  }
  void statement() {
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
      if (isDotted("callprototype") || isDotted("calltargets")) fail("indirect calls are not modelled");
      // Inline assembly may define the same label in several blocks; the innermost wins.
      const int id = labelId(label, true);
      function_->labels[static_cast<std::size_t>(id)] = static_cast<int>(function_->body.size());
      return;
    }
    instruction();
  }

  void directive() {
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

  void registers() {
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
  void declareRegister(const std::string& registerName, RegisterType type) {
    Symbol symbol;
    symbol.kind = Symbol::reg;
    symbol.id = static_cast<int>(function_->registers.size());
    function_->registers.push_back(type);
    scopes_.back()[registerName] = symbol;
  }

  int labelId(const std::string& label, bool define = false) {
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
  std::string scopedLabel(const std::string& label, std::size_t depth) const {
    return depth == 0 ? label : label + "#" + std::to_string(blocks_[depth - 1]);
  }
  // Whether the rest of the innermost block defines the label.
  bool definedAhead(const std::string& label) const {
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

  const Symbol* lookup(const std::string& symbol) const {
    for (auto scope = scopes_.rbegin(); scope != scopes_.rend(); ++scope) {
      const auto found = scope->find(symbol);
      if (found != scope->end()) return &found->second;
    }
    return nullptr;
  }

  void instruction() {
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

  Operand operand(const Statement& statement) {
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
      if (token.kind == TokenKind::integer && minus) result.value = -result.value;
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
    if (statement.opcode.rfind("call", 0) == 0 || statement.opcode.rfind("brx", 0) == 0 ||
        out_.byName.count(word) != 0) {
      result.kind = Operand::function;
      result.name = word;
      return result;
    }
    fail("the name " + word + " is not declared");
  }

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

}  // namespace

ParsedModule parsePtx(const char* text, std::size_t length) { return Parser(text, length).run(); }

}  // namespace warploom::cudasim
