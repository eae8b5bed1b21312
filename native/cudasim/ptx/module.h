// A module of PTX, parsed, checked and decoded: what the loader of the driver and the executor share.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace warploom::cudasim {

class Memory;
struct Program;  // the decoded instructions of a kernel: exec/program.h

// One entry of a kernel's parameter list. Offsets are those of the PTX ABI: each aligned to its own alignment.
struct Param {
  std::string name;
  uint32_t offset = 0;
  uint32_t size = 0;
  uint32_t align = 1;
};

struct Kernel {
  std::string name;
  std::vector<Param> params;
  uint32_t paramBytes = 0;
  uint32_t staticShared = 0;           // bytes of shared memory declared with a size
  uint32_t localBytes = 0;             // bytes of local memory a thread
  uint32_t registers = 0;              // 32-bit slots a thread after liveness: a model, ptxas decides otherwise
  uint32_t maxThreads[3] = {0, 0, 0};  // .maxntid; zeros where absent
  uint32_t reqThreads[3] = {0, 0, 0};  // .reqntid; zeros where absent
  uint32_t minBlocks = 0;              // .minnctapersm
  int ptxLine = 0;                     // where its .entry stands
  std::shared_ptr<const Program> program;
};

// A variable of module scope in .global or .const. Its address is 0 until Module::place.
struct Global {
  // The 8 bytes at `offset` hold the address of global `symbol` plus `addend`.
  struct Relocation {
    uint64_t offset;
    int symbol;
    int64_t addend;
  };
  std::string name;
  bool constant = false;
  uint64_t size = 0;
  uint32_t align = 1;
  std::vector<uint8_t> init;  // empty: zeros
  std::vector<Relocation> relocations;
  uint64_t address = 0;
};

struct Module {
  int versionMajor = 0, versionMinor = 0;  // .version: an older posed driver refuses newer ones
  int target = 0;                          // 80 for .target sm_80
  std::vector<std::string> files;          // of .file, by its number
  std::vector<std::unique_ptr<Kernel>> kernels;
  std::vector<std::unique_ptr<Global>> globals;

  const Kernel* kernel(const std::string& name) const;
  const Global* global(const std::string& name) const;

  // Allocates and initialises the globals. False, with the reason in `log`, when the memory is exhausted.
  // A module is placed once; parse the text again for another device.
  bool place(Memory& memory, std::string& log);
  // Frees the globals again.
  void remove(Memory& memory);
};

// Null, and `log` names line and instruction, when the text is wrong or holds what is not modelled.
// shareRegisters: false gives every register a slot of its own; only a test wants that.
std::unique_ptr<Module> parseModule(const char* text, std::size_t length, std::string& log, bool shareRegisters = true);

// Every instruction form that the decoder accepts, as PTX writes it ("add.rn.ftz.f32"), sorted.
std::vector<std::string> acceptedForms();

}  // namespace warploom::cudasim
