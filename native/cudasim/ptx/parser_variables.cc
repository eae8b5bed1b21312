#include "cudasim/ptx/parser_impl.h"

namespace warploom::cudasim {

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

void Parser::declaration() {
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

void Parser::variable() {
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

Global* Parser::place(const std::string& space, const std::string& variableName, uint32_t align, const Type& type,
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

void Parser::initializer(Global& global, const Type& type, bool array, bool sized) {
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

uint64_t Parser::literal(const Type& type) {
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

}  // namespace warploom::cudasim
