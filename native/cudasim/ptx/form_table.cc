// The table of every instruction form that the decoder accepts.
#include "cudasim/ptx/forms.h"

namespace warploom::cudasim {

const FormTable& formTable() {
  static const FormTable* table = [] {
    auto* made = new FormTable;
    addIntegerForms(*made);
    addBitForms(*made);
    addMoveForms(*made);
    addFloatForms(*made);
    addCompareForms(*made);
    addConvertForms(*made);
    addHalfForms(*made);
    addMemoryForms(*made);
    addAtomicForms(*made);
    addWarpForms(*made);
    addMatrixForms(*made);
    addVideoForms(*made);
    addMBarrierForms(*made);
    addSystemForms(*made);
    addControlForms(*made);
    return made;
  }();
  return *table;
}

std::vector<std::string> acceptedForms() {
  std::vector<std::string> names;
  for (const auto& entry : formTable().all()) names.push_back(entry.first);
  return names;
}

}  // namespace warploom::cudasim
