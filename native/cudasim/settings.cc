#include "cudasim/settings.h"

#include <algorithm>
#include <cstdlib>
#include <stdexcept>

namespace warploom::cudasim {

namespace {
uint64_t number(const char* name, const char* text) {
  char* end = nullptr;
  const uint64_t value = std::strtoull(text, &end, 0);
  if (end == text || *end != '\0') {
    throw std::runtime_error(std::string(name) + "=" + text + " is not a number");
  }
  return value;
}
}  // namespace

Settings Settings::fromEnvironment() {
  Settings settings;
  if (const char* text = std::getenv("CUDASIM_CHECK")) {
    settings.mem = settings.init = settings.race = settings.sync = false;
    std::string list = text;
    if (list != "none") {
      for (std::size_t at = 0; at <= list.size();) {
        const std::size_t comma = std::min(list.find(',', at), list.size());
        const std::string one = list.substr(at, comma - at);
        if (one == "mem") {
          settings.mem = true;
        } else if (one == "init") {
          settings.init = true;
        } else if (one == "race") {
          settings.race = true;
        } else if (one == "sync") {
          settings.sync = true;
        } else {
          throw std::runtime_error("CUDASIM_CHECK=" + list + ": a list of mem, init, race, sync, or none");
        }
        at = comma + 1;
      }
    }
  }
  if (const char* text = std::getenv("CUDASIM_SEED")) settings.seed = number("CUDASIM_SEED", text);
  if (const char* text = std::getenv("CUDASIM_THREADS")) {
    settings.threads = static_cast<int>(number("CUDASIM_THREADS", text));
  }
  if (const char* text = std::getenv("CUDASIM_MAX_STEPS")) settings.maxSteps = number("CUDASIM_MAX_STEPS", text);
  if (const char* text = std::getenv("CUDASIM_SKIP")) {
    const std::string skip = text;
    const std::size_t colon = skip.rfind(':');
    if (colon == std::string::npos) throw std::runtime_error("CUDASIM_SKIP=" + skip + ": kernel:ptxline");
    settings.skipKernel = skip.substr(0, colon);
    settings.skipLine = static_cast<int>(number("CUDASIM_SKIP", skip.c_str() + colon + 1));
  }
  if (const char* text = std::getenv("CUDASIM_COUNTERS")) {
    settings.countersFile = text;
    settings.counters = !settings.countersFile.empty();
  }
  if (const char* text = std::getenv("CUDASIM_REPORT")) settings.reportFile = text;
  return settings;
}

}  // namespace warploom::cudasim
