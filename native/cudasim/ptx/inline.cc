#include <algorithm>
#include <initializer_list>
#include <map>

#include "cudasim/ptx/ast.h"

namespace warploom::cudasim {

namespace {

// Copies bodies into one list of statements. Each call gets registers, labels and local memory of its own, so the
// executor needs no call stack and lanes that diverge inside a function meet again behind it as anywhere else.
class Inliner {
 public:
  Inliner(const ParsedModule& parsed, Function& entry) : parsed_(parsed), entry_(entry) {}

  void run() {
    const bool calls = std::any_of(entry_.body.begin(), entry_.body.end(),
                                   [](const Statement& statement) { return statement.opcode.rfind("call", 0) == 0; });
    if (!calls) return;
    const Function original = entry_;
    entry_.registers.clear();
    entry_.body.clear();
    entry_.labels.clear();
    entry_.branchTargets.clear();
    entry_.localBytes = 0;
    sharedOf_[&original] = 0;
    copy(original, {}, {}, -1);
  }

 private:
  void copy(const Function& from, const std::vector<Operand>& returns, const std::vector<Operand>& arguments,
            int returnLabel) {
    const int registerBase = static_cast<int>(entry_.registers.size());
    const int labelBase = static_cast<int>(entry_.labels.size());
    const uint32_t localBase = (entry_.localBytes + 15) / 16 * 16;
    entry_.localBytes = localBase + from.localBytes;
    entry_.registers.insert(entry_.registers.end(), from.registers.begin(), from.registers.end());
    entry_.labels.resize(entry_.labels.size() + from.labels.size(), -1);
    const uint32_t sharedBase = sharedOf(from);
    const std::string suffix = "@" + std::to_string(++copies_);
    for (const auto& list : from.branchTargets) {
      std::vector<int>& targets = entry_.branchTargets[list.first + suffix];
      for (int label : list.second) targets.push_back(label + labelBase);
    }
    std::map<int, std::vector<int>> labelsAt;
    for (std::size_t i = 0; i < from.labels.size(); ++i) labelsAt[from.labels[i]].push_back(static_cast<int>(i));
    for (std::size_t i = 0; i <= from.body.size(); ++i) {
      for (int label : labelsAt[static_cast<int>(i)]) {
        entry_.labels[static_cast<std::size_t>(label + labelBase)] = static_cast<int>(entry_.body.size());
      }
      if (i == from.body.size()) break;
      Statement statement = from.body[i];
      if (statement.guard >= 0) statement.guard += registerBase;
      for (Operand& operand : statement.operands) {
        rename(operand, registerBase, labelBase, localBase, sharedBase, returns, arguments, suffix);
      }
      if (statement.opcode == "call" || statement.opcode == "call.uni") {
        call(statement, from);
      } else if (returnLabel >= 0 && (statement.opcode == "ret" || statement.opcode == "ret.uni")) {
        statement.opcode = "bra";
        Operand target;
        target.kind = Operand::label;
        target.id = returnLabel;
        statement.operands = {target};
        entry_.body.push_back(statement);
      } else {
        entry_.body.push_back(std::move(statement));
      }
    }
  }

  void call(const Statement& statement, const Function& caller) {
    std::size_t at = 0;
    std::vector<Operand> returns, arguments;
    if (at < statement.operands.size() && statement.operands[at].kind == Operand::vector) {
      returns = statement.operands[at++].parts;
    }
    if (at >= statement.operands.size()) throw PtxError(statement.ptxLine, "call: of nothing");
    if (statement.operands[at].kind == Operand::reg) {
      const Operand pointer = statement.operands[at++];
      if (at + 1 < statement.operands.size()) arguments = statement.operands[at++].parts;
      if (at >= statement.operands.size()) throw PtxError(statement.ptxLine, "call: a list of its targets is missing");
      const auto list = caller.callLists.find(statement.operands[at].name);
      if (list == caller.callLists.end()) {
        throw PtxError(statement.ptxLine, "call: the list " + statement.operands[at].name + " is not defined");
      }
      callThrough(statement, pointer, list->second, returns, arguments);
      return;
    }
    if (statement.operands[at].kind != Operand::function) {
      throw PtxError(statement.ptxLine, "call: neither of a function nor through a register");
    }
    const std::string& name = statement.operands[at++].name;
    if (at < statement.operands.size()) arguments = statement.operands[at++].parts;
    const auto found = parsed_.byName.find(name);
    if (found == parsed_.byName.end() || !found->second->defined) {
      if (name == "vprintf" && returns.size() == 1 && arguments.size() == 2) {
        systemCall(statement, name, {8, 8}, returns, arguments);
        return;
      }
      if (name == "__assertfail" && returns.empty() && arguments.size() == 5) {
        systemCall(statement, name, {8, 8, 4, 8}, returns, arguments);  // the size of a character is of no interest
        return;
      }
      throw PtxError(statement.ptxLine, "call of " + name + ", which the module does not define, is not modelled");
    }
    const int returnLabel = skipLabel(statement);
    expand(statement, *found->second, returns, arguments, returnLabel);
    place(returnLabel);
  }

  // A call through a register: one function after the other, where the register holds its address.
  void callThrough(const Statement& statement, const Operand& pointer, const CallList& list,
                   const std::vector<Operand>& returns, const std::vector<Operand>& arguments) {
    const int returnLabel = skipLabel(statement);
    Statement plain = statement;
    plain.guard = -1;
    plain.operands.clear();
    for (const auto& entry : parsed_.functions) {
      const Function& callee = *entry;
      if (callee.entry || !callee.defined || !reaches(list, callee)) continue;
      const int next = static_cast<int>(entry_.labels.size());
      entry_.labels.push_back(-1);
      const int predicate = static_cast<int>(entry_.registers.size());
      entry_.registers.push_back(RegisterType::predicate);
      Statement compare = plain;
      compare.opcode = "setp.ne.u64";
      Operand result, address;
      result.kind = Operand::reg;
      result.id = predicate;
      address.kind = Operand::immediate;
      address.value = static_cast<int64_t>(functionAddress(parsed_, callee));
      compare.operands = {result, pointer, address};
      entry_.body.push_back(compare);
      branch(plain, next, predicate, false);
      expand(statement, callee, returns, arguments, returnLabel);
      branch(plain, returnLabel, -1, false);
      place(next);
    }
    // The register points to none of them.
    plain.opcode = "trap";
    entry_.body.push_back(plain);
    place(returnLabel);
  }
  bool reaches(const CallList& list, const Function& callee) const {
    if (!list.prototype) return std::find(list.names.begin(), list.names.end(), callee.name) != list.names.end();
    // A function that is being expanded cannot be called again: such a call ends in the trap.
    if (std::find(stack_.begin(), stack_.end(), &callee) != stack_.end()) return false;
    const auto sameSizes = [](const std::vector<Param>& a, const std::vector<Param>& b) {
      return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                        [](const Param& x, const Param& y) { return x.size == y.size && x.align == y.align; });
    };
    return sameSizes(list.returns, callee.returns) && sameSizes(list.params, callee.params);
  }

  void branch(const Statement& statement, int label, int guard, bool negated) {
    Statement made = statement;
    made.opcode = "bra";
    made.guard = guard;
    made.guardNegated = negated;
    Operand target;
    target.kind = Operand::label;
    target.id = label;
    made.operands = {target};
    entry_.body.push_back(made);
  }
  void place(int label) { entry_.labels[static_cast<std::size_t>(label)] = static_cast<int>(entry_.body.size()); }
  // The label behind a call; of a guarded one, the others branch there at once.
  int skipLabel(const Statement& statement) {
    const int label = static_cast<int>(entry_.labels.size());
    entry_.labels.push_back(-1);
    if (statement.guard >= 0) branch(statement, label, statement.guard, !statement.guardNegated);
    return label;
  }

  void expand(const Statement& statement, const Function& callee, const std::vector<Operand>& returns,
              const std::vector<Operand>& arguments, int returnLabel) {
    const std::string& name = callee.name;
    if (std::find(stack_.begin(), stack_.end(), &callee) != stack_.end()) {
      throw PtxError(statement.ptxLine, "the recursive call of " + name + " is not modelled");
    }
    for (const std::vector<Operand>* list : {&returns, &arguments}) {
      for (const Operand& operand : *list) {
        if (operand.kind != Operand::variable) {
          throw PtxError(statement.ptxLine, "call of " + name + ": arguments that are not .param are not modelled");
        }
      }
    }
    if (returns.size() != callee.returns.size() || arguments.size() != callee.params.size()) {
      throw PtxError(statement.ptxLine, "call of " + name + ": the number of arguments does not fit");
    }
    if (entry_.body.size() > 1000000)
      throw PtxError(statement.ptxLine, "calls expand to more than a million statements");
    stack_.push_back(&callee);
    copy(callee, returns, arguments, returnLabel);
    stack_.pop_back();
  }

  // A function that the driver brings: an instruction of its own, with arguments of these sizes in registers.
  void systemCall(const Statement& statement, const std::string& name, std::initializer_list<int> sizes,
                  const std::vector<Operand>& returns, const std::vector<Operand>& arguments) {
    const auto fresh = [this](RegisterType type) {
      Operand made;
      made.kind = Operand::reg;
      made.id = static_cast<int>(entry_.registers.size());
      entry_.registers.push_back(type);
      return made;
    };
    const auto in = [](const Operand& variable) {
      Operand address;
      address.kind = Operand::address;
      address.parts = {variable};
      return address;
    };
    Statement call = statement;
    call.opcode = name;
    call.operands.clear();
    if (!returns.empty()) call.operands.push_back(fresh(RegisterType::bits32));
    std::size_t at = 0;
    for (const int size : sizes) {
      const Operand value = fresh(size == 8 ? RegisterType::bits64 : RegisterType::bits32);
      Statement load = statement;
      load.opcode = size == 8 ? "ld.param.b64" : "ld.param.b32";
      load.operands = {value, in(arguments[at++])};
      entry_.body.push_back(load);
      call.operands.push_back(value);
    }
    entry_.body.push_back(call);
    if (returns.empty()) return;
    Statement store = statement;
    store.opcode = "st.param.b32";
    store.operands = {in(returns[0]), call.operands[0]};
    entry_.body.push_back(store);
  }

  void rename(Operand& operand, int registerBase, int labelBase, uint32_t localBase, uint32_t sharedBase,
              const std::vector<Operand>& returns, const std::vector<Operand>& arguments, const std::string& suffix) {
    for (Operand& part : operand.parts) {
      rename(part, registerBase, labelBase, localBase, sharedBase, returns, arguments, suffix);
    }
    switch (operand.kind) {
      case Operand::reg:
        operand.id += registerBase;
        break;
      case Operand::label:
        operand.id += labelBase;
        break;
      case Operand::function:
        // The name of a .branchtargets list; functions of calls keep theirs.
        if (entry_.branchTargets.count(operand.name + suffix) != 0) operand.name += suffix;
        break;
      case Operand::variable:
        if (operand.space == Space::local) {
          operand.value += localBase;
        } else if (operand.space == Space::shared && operand.formal) {
          operand.value += sharedBase;
        } else if (operand.space == Space::param && operand.formal) {
          const bool isReturn = operand.id < 1000;
          const int64_t offset = operand.value;
          operand = isReturn ? returns[static_cast<std::size_t>(operand.id)]
                             : arguments[static_cast<std::size_t>(operand.id - 1000)];
          operand.value += offset;
        }
        break;
      default:
        break;
    }
  }

  // Shared variables exist once a function, however often it is called.
  uint32_t sharedOf(const Function& function) {
    const auto found = sharedOf_.find(&function);
    if (found != sharedOf_.end()) return found->second;
    const uint32_t base = (entry_.sharedBytes + 15) / 16 * 16;
    entry_.sharedBytes = base + function.sharedBytes;
    sharedOf_[&function] = base;
    return base;
  }

  const ParsedModule& parsed_;
  Function& entry_;
  std::vector<const Function*> stack_;
  std::map<const Function*, uint32_t> sharedOf_;
  int copies_ = 0;
};

}  // namespace

uint64_t functionAddress(const ParsedModule& parsed, const Function& function) {
  // Above all memory, 16 bytes apart as code is.
  uint64_t address = uint64_t{1} << 60;
  for (const auto& one : parsed.functions) {
    if (one.get() == &function) break;
    address += 16;
  }
  return address;
}

void inlineCalls(const ParsedModule& parsed, Function& entry) { Inliner(parsed, entry).run(); }

}  // namespace warploom::cudasim
