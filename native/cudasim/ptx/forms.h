// The table of instruction forms. Everything that the decoder accepts stands in it.
#pragma once

#include <map>
#include <string>

#include "cudasim/exec/program.h"

namespace warploom::cudasim {

// How the operands of a form map to an instruction. The signature has one letter an operand, in the order of PTX:
//   D destination   d2 is written X (second destination, behind a bar)
//   A B C E sources a, b, c, e        P predicate source into the next free of a, b, c
//   M address [a + imm]               V vector list (destination), W vector list (source); a single register is a list
//   of 1 I immediate into imm              L label into target    T branch targets list then the width of its lanes: 4
//   or 8; 1 for a predicate.   "?" before a letter: may be absent.
struct Form {
  Handler fn = nullptr;
  const char* signature = "";
  Class kind = Class::integer;
  uint8_t flops = 0;
  Flow flow = Flow::plain;
  Space space = Space::generic;
  uint8_t size = 0;
  uint8_t vec = 1;
  uint8_t mode = 0;
  bool isSigned = false;  // widening a narrow result into a wide register copies the sign
  uint32_t work = 0;      // operations of a warp, for an mma; starts out as imm
};

class FormTable {
 public:
  void add(const std::string& name, const Form& form) { forms_[name] = form; }
  void add(const std::string& name, const char* signature, Handler fn, Class kind = Class::integer, int flops = 0) {
    addMode(name, signature, fn, 0, kind, flops);
  }
  // One of several forms that share a handler, which `mode` tells apart.
  void addMode(const std::string& name, const char* signature, Handler fn, int mode, Class kind = Class::integer,
               int flops = 0) {
    Form form;
    form.fn = fn;
    form.signature = signature;
    form.kind = kind;
    form.flops = static_cast<uint8_t>(flops);
    form.mode = static_cast<uint8_t>(mode);
    forms_[name] = form;
  }
  const Form* find(const std::string& name) const {
    const auto found = forms_.find(name);
    return found == forms_.end() ? nullptr : &found->second;
  }
  const std::map<std::string, Form>& all() const { return forms_; }

 private:
  std::map<std::string, Form> forms_;
};

const FormTable& formTable();

// One for each family: exec/ops_*.cc.
void addIntegerForms(FormTable& table);
void addBitForms(FormTable& table);
void addMoveForms(FormTable& table);
void addFloatForms(FormTable& table);
void addCompareForms(FormTable& table);
void addConvertForms(FormTable& table);
void addHalfForms(FormTable& table);
void addMemoryForms(FormTable& table);
void addAtomicForms(FormTable& table);
void addWarpForms(FormTable& table);
void addMatrixForms(FormTable& table);
void addVideoForms(FormTable& table);
void addMBarrierForms(FormTable& table);
void addSystemForms(FormTable& table);
void addControlForms(FormTable& table);

}  // namespace warploom::cudasim
