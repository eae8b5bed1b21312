#include <cctype>
#include <cstring>
#include <map>

#include "cudasim/ptx/forms.h"
#include "cudasim/ptx/normalize.h"
#include "cudasim/ptx/registers.h"
#include "cudasim/ptx/special.h"

namespace warploom::cudasim {

namespace {

class Decoder {
 public:
  Decoder(const ParsedModule& parsed, const Function& entry, Kernel& kernel)
      : parsed_(parsed), entry_(entry), kernel_(kernel), program_(std::make_shared<Program>()) {}

  void run(bool share) {
    for (std::size_t i = 0; i < entry_.registers.size(); ++i) {
      const RegisterType type = entry_.registers[i];
      offsets_.push_back(kNone);
      widths_.push_back(type == RegisterType::bits64 ? 8 : 4);
      if (type == RegisterType::predicate) widths_.back() = 1;
      if (type == RegisterType::bits128) widths_.back() = 16;
    }
    starts_.resize(entry_.body.size() + 1);
    for (std::size_t i = 0; i < entry_.body.size(); ++i) {
      starts_[i] = static_cast<uint32_t>(program_->code.size());
      statement_ = &entry_.body[i];
      statement();
    }
    starts_[entry_.body.size()] = static_cast<uint32_t>(program_->code.size());
    Instruction end;
    end.flow = Flow::end;
    emit(end);
    for (Instruction& in : program_->code) {
      if (in.flow == Flow::branch) in.target = labelStart(static_cast<int>(in.target));
      if (in.flow == Flow::branchIndexed) {
        for (uint32_t k = 0; k < in.count; ++k) {
          program_->lists[in.list + k] = labelStart(static_cast<int>(program_->lists[in.list + k]));
        }
      }
    }
    program_->registerBytes = next_;
    kernel_.registers = share ? shareRegisters(*program_, registers_) : next_ / 128;
    program_->paramBytes = kernel_.paramBytes;
    program_->files = parsed_.module->files;
    for (const auto& global : parsed_.module->globals) program_->globals.push_back(global.get());
    kernel_.program = program_;
  }

 private:
  [[noreturn]] void fail(const std::string& what) const {
    throw PtxError(statement_->ptxLine, statement_->opcode + ": " + what);
  }
  uint32_t labelStart(int label) const {
    return starts_[static_cast<std::size_t>(entry_.labels[static_cast<std::size_t>(label)])];
  }
  void emit(const Instruction& in) {
    program_->code.push_back(in);
    registers_.listWrites.push_back(static_cast<uint16_t>(listWrites_));
    Place place;
    if (in.flow != Flow::end) {
      place.ptxLine = statement_->ptxLine;
      place.file = statement_->file;
      place.line = statement_->line;
    }
    program_->places.push_back(place);
    program_->opcodes.push_back(in.flow == Flow::end ? "end" : statement_->opcode);
  }
  uint32_t slot(int width) {
    const uint32_t offset = next_;
    next_ += width == 8 ? 256 : 128;
    registers_.widths.push_back(width == 8 ? 8 : 4);
    if (width == 8) registers_.widths.push_back(0);
    return offset;
  }
  uint32_t registerOffset(int id) {
    uint32_t& offset = offsets_[static_cast<std::size_t>(id)];
    if (offset == kNone) offset = slot(widths_[static_cast<std::size_t>(id)]);
    return offset;
  }
  uint32_t constant(Special kind, bool wide, uint64_t value) {
    const auto key = std::make_pair(std::make_pair(kind, wide), value);
    const auto found = constants_.find(key);
    if (found != constants_.end()) return found->second;
    const uint32_t offset = slot(wide ? 8 : 4);
    program_->constants.push_back({kind, wide, offset, value});
    constants_[key] = offset;
    return offset;
  }

  uint64_t variableValue(const Operand& operand) const {
    switch (operand.space) {
      case Space::shared:
        if (operand.dynamicShared) return kernel_.staticShared + static_cast<uint64_t>(operand.value);
        return static_cast<uint64_t>(operand.value) + (operand.formal ? sharedBase() : 0);
      default:
        return static_cast<uint64_t>(operand.value);
    }
  }
  uint64_t sharedBase() const { return (parsed_.moduleSharedBytes + 15) / 16 * 16; }

  uint64_t immediateBits(const Operand& operand, int width, bool floats) const {
    uint64_t bits = static_cast<uint64_t>(operand.value);
    if (operand.literal == TokenKind::float64 && width != 8) {
      double value;
      std::memcpy(&value, &bits, 8);
      const float single = static_cast<float>(value);
      uint32_t narrow;
      std::memcpy(&narrow, &single, 4);
      return narrow;
    }
    if (operand.literal == TokenKind::float32 && width == 8 && floats) {
      const uint32_t narrow = static_cast<uint32_t>(bits);
      float single;
      std::memcpy(&single, &narrow, 4);
      const double value = single;
      std::memcpy(&bits, &value, 8);
    }
    return width == 8 ? bits : bits & 0xffffffffu;
  }

  // The offset of a source operand of `width` bytes a lane (1: a predicate).
  uint32_t source(const Operand& operand, int width) {
    const bool wide = width == 8;
    switch (operand.kind) {
      case Operand::reg: {
        const int has = widths_[static_cast<std::size_t>(operand.id)];
        const uint32_t offset = registerOffset(operand.id);
        if ((has == 1) != (width == 1)) fail(width == 1 ? "a predicate is needed" : "a predicate is no operand here");
        if (has == 16) fail("128-bit registers are not modelled");
        if (operand.negated) return helper("not.pred", offset, 4);
        if (width == 1 || has == width) return offset;
        return helper(width == 8 ? "cvt.u64.u32" : "cvt.u32.u64", offset, width);
      }
      case Operand::immediate: {
        const bool floats = statement_->opcode.find(".f64") != std::string::npos;
        if (width == 1) return constant(Special::immediate, false, operand.value != 0 ? 0xffffffffu : 0);
        return constant(Special::immediate, wide, immediateBits(operand, width, floats));
      }
      case Operand::special:
        return special(operand.name, wide);
      case Operand::variable:
        if (operand.space == Space::global || operand.space == Space::constant) {
          const uint32_t base =
              constant(Special::globalAddress, true,
                       static_cast<uint64_t>(operand.id) << 32 | static_cast<uint32_t>(operand.value));
          return wide ? base : helper("cvt.u32.u64", base, 4);
        }
        return constant(Special::immediate, wide, variableValue(operand));
      case Operand::function: {
        const Function* function = parsed_.byName.at(operand.name);
        if (function->entry || !wide) fail("the address of a kernel, or in 32 bits, is not modelled");
        return constant(Special::immediate, true, functionAddress(parsed_, *function));
      }
      default:
        fail("an operand of a kind that does not fit");
    }
  }

  uint32_t special(const std::string& name, bool wide) {
    const Special* found = findSpecial(name);
    if (found == nullptr) fail("the special register " + name + " is not modelled");
    if (*found == Special::reservedSmem) program_->reservesShared = true;
    return constant(*found, wide, 0);
  }

  // d = opcode(a) into a fresh slot.
  uint32_t helper(const char* opcode, uint32_t a, int width) {
    const Form* form = formTable().find(opcode);
    Instruction in;
    in.fn = form->fn;
    in.kind = Class::move;
    in.a = a;
    in.d = slot(width);
    emit(in);
    return in.d;
  }

  // Destinations narrower or wider than their register go through a slot of their own.
  struct Fix {
    uint32_t from, to;
    const char* opcode;
  };
  uint32_t destination(const Operand& operand, int width, bool isSigned) {
    if (operand.kind == Operand::sink) return slot(width);
    if (operand.kind != Operand::reg) fail("the destination is not a register");
    const int has = widths_[static_cast<std::size_t>(operand.id)];
    if (has == 16) fail("128-bit registers are not modelled");
    if ((has == 1) != (width == 1)) fail(width == 1 ? "a predicate is needed" : "a predicate is no destination here");
    const uint32_t offset = registerOffset(operand.id);
    if (has == width || width == 1) return offset;
    const uint32_t temporary = slot(width);
    fixes_.push_back({temporary, offset, has == 8 ? (isSigned ? "cvt.s64.s32" : "cvt.u64.u32") : "cvt.u32.u64"});
    return temporary;
  }

  void address(const Operand& operand, Instruction& in) {
    if (operand.kind != Operand::address) fail("an address in brackets is needed");
    const Operand& base = operand.parts[0];
    in.imm = operand.value;
    if (base.kind == Operand::reg) {
      in.a = registerOffset(base.id);
      in.addressWide = widths_[static_cast<std::size_t>(base.id)] == 8;
      return;
    }
    in.addressWide = true;
    if (base.kind == Operand::variable) {
      if (in.space == Space::param) {
        if (base.space == Space::local) {
          in.space = Space::local;  // a .param variable of a call
        } else if (base.space != Space::param) {
          fail("the name in brackets is not a parameter");
        }
      } else if (in.space == Space::generic && base.space != Space::global && base.space != Space::constant) {
        fail("a generic access by the name of a variable outside .global is not modelled");
      } else if (in.space != Space::generic && base.space != in.space) {
        fail("the variable " + base.name + " lies in another space");
      }
    }
    in.a = source(base, 8);
  }

  void pushList(const Operand& operand, int width, bool isDestination, bool isSigned, Instruction& in) {
    std::vector<uint32_t> offsets;
    if (operand.kind == Operand::vector) {
      for (const Operand& part : operand.parts) {
        offsets.push_back(isDestination ? destination(part, width, isSigned) : source(part, width));
      }
    } else {
      offsets.push_back(isDestination ? destination(operand, width, isSigned) : source(operand, width));
    }
    if (in.count == 0) in.list = static_cast<uint32_t>(program_->lists.size());
    in.count = static_cast<uint16_t>(in.count + offsets.size());
    if (isDestination) listWrites_ = in.count;
    program_->lists.insert(program_->lists.end(), offsets.begin(), offsets.end());
  }

  // mov with braces on one side: {lo, hi} = wide, or wide = {lo, hi}.
  bool packingMove() {
    const Statement& s = *statement_;
    if (s.operands.size() != 2 || s.opcode.rfind("mov.", 0) != 0) return false;
    const bool unpack = s.operands[0].kind == Operand::vector, pack = s.operands[1].kind == Operand::vector;
    if (!unpack && !pack) return false;
    const std::vector<Operand>& parts = s.operands[unpack ? 0 : 1].parts;
    const std::string name =
        std::string(unpack ? "mov.unpack" : "mov.pack") + s.opcode.substr(3) + "." + std::to_string(parts.size());
    const Form* form = formTable().find(name);
    if (form == nullptr) fail("packing " + std::to_string(parts.size()) + " parts is not modelled");
    build(*form, s.operands, false);
    return true;
  }

  bool isPredicate(const Operand& operand) const {
    return operand.kind == Operand::reg && widths_[static_cast<std::size_t>(operand.id)] == 1;
  }

  void statement() {
    const Statement& s = *statement_;
    if (packingMove()) return;
    Normal normal = normalize(s.opcode);
    std::vector<Operand> operands = s.operands;
    if (s.operands.size() == 2 && normal.name.rfind("mov.", 0) == 0 && s.operands[1].kind == Operand::special &&
        formTable().find("mov." + s.operands[1].name) != nullptr) {
      normal.name = "mov." + s.operands[1].name;
      operands.pop_back();
    }
    if (normal.cacheHint) {
      if (operands.empty()) fail("the cache policy is missing");
      operands.pop_back();
    }
    // Two kinds take their shape from an operand: the bytes of a cp.async and what follows them, the optional thread
    // count of bar.red.
    if (normal.name == "cp.async.shared.global" && operands.size() > 2) {
      normal.name += "#" + std::to_string(operands[2].value);
      if (operands.size() > 3 && isPredicate(operands[3])) normal.name += "#p";
    } else if (normal.name.rfind("bar", 0) == 0 && normal.name.find(".red.") != std::string::npos &&
               operands.size() == 4) {
      normal.name += "#4";
    }
    const Form* form = formTable().find(normal.name);
    if (form == nullptr) fail("this instruction is not modelled");
    const bool video = s.opcode[0] == 'v' && s.opcode.rfind("vote", 0) != 0;
    const int64_t selectors = video ? packSelectors(operands) : 0;
    if (selectors < 0) fail("a selector of parts that does not fit");
    for (const Operand& operand : operands) {
      if (operand.kind == Operand::reg && !operand.name.empty()) fail("a part of a register is no operand here");
    }
    build(*form, operands, normal.spinning, normal.releases, selectors);
  }

  void build(const Form& form, const std::vector<Operand>& operands, bool spinning, bool releases = false,
             int64_t selectors = 0) {
    Instruction in;
    in.fn = form.fn;
    in.flow = form.flow;
    in.space = form.space;
    in.size = form.size;
    in.kind = form.kind;
    in.flops = form.flops;
    in.mode = form.mode;
    in.imm = form.work | selectors;
    in.spinning = spinning;
    in.releases = releases;
    fixes_.clear();
    listWrites_ = 0;
    std::size_t at = 0;
    for (const char* p = form.signature; *p != '\0';) {
      bool optional = false;
      if (*p == '?') {
        optional = true;
        ++p;
      }
      const char what = *p++;
      const int width = std::isdigit(static_cast<unsigned char>(*p)) ? *p++ - '0' : 4;
      if (at >= operands.size()) {
        if (optional) continue;
        fail("too few operands");
      }
      const Operand& operand = operands[at];
      const bool isPair = statement_->hasPair && at == 1;
      if (what == 'X' && optional && !isPair) continue;
      ++at;
      switch (what) {
        case 'D':
          in.d = destination(operand, width, form.isSigned);
          break;
        case 'X':
          in.d2 = destination(operand, width, false);
          break;
        case 'A':
          in.a = source(operand, width);
          break;
        case 'B':
          in.b = source(operand, width);
          break;
        case 'C':
          in.c = source(operand, width);
          break;
        case 'E':
          in.e = source(operand, width);
          break;
        case 'M':
          address(operand, in);
          break;
        case 'N':  // a second address [b]
          in.b = source(operand.parts.empty() ? operand : operand.parts[0], width);
          if (operand.value != 0) {
            Instruction add;
            add.fn = formTable().find("add.u64")->fn;
            add.a = in.b;
            add.b = constant(Special::immediate, true, static_cast<uint64_t>(operand.value));
            add.d = in.b = slot(8);
            emit(add);
          }
          break;
        case 'V':
        case 'W':
          if (form.vec != 0 && (operand.kind == Operand::vector ? operand.parts.size() : 1) != form.vec) {
            fail("the number of elements does not fit");
          }
          pushList(operand, width, what == 'V', form.isSigned, in);
          break;
        case 'v':  // lists of any length, for mma
        case 'w':
          pushList(operand, width, what == 'v', false, in);
          break;
        case 'i':  // an immediate that the form knows already
          if (operand.kind != Operand::immediate) fail("an immediate is needed");
          break;
        case 'I':
          if (operand.kind != Operand::immediate) fail("an immediate is needed");
          in.imm = operand.value;
          break;
        case 'L':
          if (operand.kind != Operand::label) fail("a label is needed");
          in.target = static_cast<uint32_t>(operand.id);
          break;
        case 'T': {
          const auto found = entry_.branchTargets.find(operand.name);
          if (found == entry_.branchTargets.end()) fail("the list " + operand.name + " is not defined");
          in.list = static_cast<uint32_t>(program_->lists.size());
          in.count = static_cast<uint16_t>(found->second.size());
          for (int label : found->second) program_->lists.push_back(static_cast<uint32_t>(label));
          break;
        }
        default:
          fail("a form with a bad signature");
      }
    }
    if (at != operands.size()) fail("too many operands");
    if (statement_->guard >= 0) {
      in.guard = registerOffset(statement_->guard);
      in.guardNegated = statement_->guardNegated;
    }
    emit(in);
    for (const Fix& fix : fixes_) {
      Instruction copy;
      copy.fn = formTable().find(fix.opcode)->fn;
      copy.kind = Class::move;
      copy.a = fix.from;
      copy.d = fix.to;
      copy.guard = in.guard;
      copy.guardNegated = in.guardNegated;
      emit(copy);
    }
  }

  const ParsedModule& parsed_;
  const Function& entry_;
  Kernel& kernel_;
  std::shared_ptr<Program> program_;
  const Statement* statement_ = nullptr;
  std::vector<uint32_t> offsets_;
  std::vector<int> widths_;
  std::vector<uint32_t> starts_;
  std::vector<Fix> fixes_;
  std::map<std::pair<std::pair<Special, bool>, uint64_t>, uint32_t> constants_;
  uint32_t next_ = 0, listWrites_ = 0;
  VirtualRegisters registers_;
};

}  // namespace

void decodeKernel(const ParsedModule& parsed, const Function& entry, Kernel& kernel, bool share) {
  Decoder(parsed, entry, kernel).run(share);
}

}  // namespace warploom::cudasim
