// Turns the words that TypeScript wrote into an op's argument struct. Nothing is trusted: every view is checked to lie
// inside its storage, so that no call, however wrong, makes a kernel read or write outside.
#pragma once

#include <cstdint>

#include "engine/args.h"
#include "engine/job.h"
#include "engine/storage.h"

namespace warploom::binding {

constexpr int kWords = 4096;

class Decoder {
 public:
  Decoder(double* words, StorageTable& storages, Device& device, const char* op)
      : words_(words), storages_(storages), device_(device), op_(op) {}

  void visit(In& view) { readView(view, Access::read); }
  void visit(OptIn& view) { readOptional(view, Access::read); }
  void visit(InOut& view) { readView(view, Access::write); }
  void visit(OptInOut& view) { readOptional(view, Access::write); }
  void visit(Out& view) { readOut(view); }
  void visit(OptOut& view) {
    if (ok() && peek() == kAbsent) {
      readOptional(view, Access::write);
    } else {
      readOut(view);
    }
  }
  void visit(Segments& segments);
  void visit(int64_t& value) { value = readInteger(); }
  void visit(double& value) { value = next(); }
  void visit(int32_t& flag) { flag = next() != 0; }

  bool ok() const { return !error; }
  // Gives back what was allocated for a call that did not come about.
  void undo();

  static constexpr int kMaxUses = 8 + kMaxSegments;
  BlockUse uses[kMaxUses];
  int useCount = 0;
  Error error;

 private:
  static constexpr double kAbsent = -1;
  static constexpr double kAllocate = -2;

  double peek() const { return at_ < kWords ? words_[at_] : 0; }
  double next();
  int64_t readInteger();
  bool readSizes(View& view);
  void readView(View& view, Access access);
  void readOptional(View& view, Access access);
  void readOut(View& view);
  Storage* findStorage(double handle);
  bool use(Storage& storage, int32_t handle, Access access);
  void fail(ErrorCode code, const char* message);

  double* words_;
  StorageTable& storages_;
  Device& device_;
  const char* op_;
  int at_ = 0;
  int32_t allocated_[4];
  int allocatedCount_ = 0;
};

}  // namespace warploom::binding
