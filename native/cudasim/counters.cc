#include "cudasim/counters.h"

#include <cstdio>

#include "cudasim/executor.h"

namespace warploom::cudasim {

namespace {

struct Field {
  const char* name;
  uint64_t Counters::*member;
};
const Field kFields[] = {
    {"launches", &Counters::launches},
    {"warpInstructions", &Counters::warpInstructions},
    {"laneInstructions", &Counters::laneInstructions},
    {"integer", &Counters::integer},
    {"float32", &Counters::float32},
    {"float64", &Counters::float64},
    {"half", &Counters::half},
    {"conversion", &Counters::conversion},
    {"move", &Counters::move},
    {"control", &Counters::control},
    {"memory", &Counters::memory},
    {"flops32", &Counters::flops32},
    {"flops64", &Counters::flops64},
    {"flops16", &Counters::flops16},
    {"flopsMma", &Counters::flopsMma},
    {"mma", &Counters::mma},
    {"globalLoadRequests", &Counters::globalLoadRequests},
    {"globalStoreRequests", &Counters::globalStoreRequests},
    {"globalLoadSectors", &Counters::globalLoadSectors},
    {"globalStoreSectors", &Counters::globalStoreSectors},
    {"globalLoadBytes", &Counters::globalLoadBytes},
    {"globalStoreBytes", &Counters::globalStoreBytes},
    {"compulsoryLoadBytes", &Counters::compulsoryLoadBytes},
    {"compulsoryStoreBytes", &Counters::compulsoryStoreBytes},
    {"sharedCycles", &Counters::sharedCycles},
    {"sharedIdealCycles", &Counters::sharedIdealCycles},
    {"sharedBytes", &Counters::sharedBytes},
    {"localBytes", &Counters::localBytes},
    {"barriers", &Counters::barriers},
    {"divergentBranches", &Counters::divergentBranches},
    {"branches", &Counters::branches},
    {"atomics", &Counters::atomics},
};

std::string quoted(const std::string& text) {
  std::string out = "\"";
  for (char c : text) {
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (static_cast<unsigned char>(c) < 0x20) {
      out += ' ';
    } else {
      out += c;
    }
  }
  return out + "\"";
}

}  // namespace

double Counters::simtEfficiency() const {
  return warpInstructions == 0 ? 0
                               : static_cast<double>(laneInstructions) / (32.0 * static_cast<double>(warpInstructions));
}

void Counters::add(const Counters& other) {
  for (const Field& field : kFields) this->*field.member += other.*field.member;
}

std::string Counters::json(const std::string& kernel) const {
  std::string out = "{\"kernel\":" + quoted(kernel);
  for (const Field& field : kFields) {
    out += std::string(",\"") + field.name + "\":" + std::to_string(this->*field.member);
  }
  char efficiency[32];
  std::snprintf(efficiency, sizeof(efficiency), "%.6f", simtEfficiency());
  return out + ",\"simtEfficiency\":" + efficiency + "}";
}

std::string Finding::json() const {
  const auto three = [](const uint32_t* v) {
    return "[" + std::to_string(v[0]) + "," + std::to_string(v[1]) + "," + std::to_string(v[2]) + "]";
  };
  return "{\"check\":" + quoted(check) + ",\"kernel\":" + quoted(kernel) + ",\"block\":" + three(block) +
         ",\"thread\":" + three(thread) + ",\"file\":" + quoted(file) + ",\"line\":" + std::to_string(line) +
         ",\"ptx_line\":" + std::to_string(ptxLine) + ",\"message\":" + quoted(message) + "}";
}

}  // namespace warploom::cudasim
