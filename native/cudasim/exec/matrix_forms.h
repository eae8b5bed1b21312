// The parts of the table of matrix instructions.
#pragma once

#include "cudasim/ptx/forms.h"

namespace warploom::cudasim {

void addIntegerMatrixForms(FormTable& table);
void addWmmaForms(FormTable& table);

}  // namespace warploom::cudasim
