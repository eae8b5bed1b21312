// What the driver brings for device code: printf and failed assertions.
#include <cstdio>

#include "cudasim/exec/machine.h"
#include "cudasim/ptx/forms.h"

namespace warploom::cudasim {

namespace {

// Memory at a generic address, which is the host's own.
const char* readable(Warp& w, int lane, uint64_t address, uint64_t bytes, const char* what) {
  const auto inside = [&](const uint8_t* from, uint64_t size) {
    const uint64_t start = reinterpret_cast<uint64_t>(from);
    return from != nullptr && address >= start && address + bytes <= start + size;
  };
  const RunState& run = *w.block->run;
  const uint64_t localBytes = run.launch.kernel->localBytes;
  if (!inside(w.block->shared, run.sharedBytes) &&
      !inside(w.local + localBytes * static_cast<uint64_t>(lane), localBytes) &&
      run.launch.memory->findLive(address, bytes) == nullptr) {
    throw Fault{"mem", 700, lane, std::string("the ") + what + " is no readable memory"};
  }
  return reinterpret_cast<const char*>(address);
}
std::string text(Warp& w, int lane, uint64_t address, const char* what) {
  std::string all;
  for (;; ++address) {
    const char c = *readable(w, lane, address, 1, what);
    if (c == '\0') return all;
    all += c;
  }
}

// The arguments lie one behind another, each aligned to its size.
class Arguments {
 public:
  Arguments(Warp& w, int lane, uint64_t address) : w_(w), lane_(lane), at_(address) {}

  template <class T>
  T next() {
    at_ = (at_ + sizeof(T) - 1) / sizeof(T) * sizeof(T);
    T value;
    std::memcpy(&value, readable(w_, lane_, at_, sizeof(T), "list of arguments of printf"), sizeof(T));
    at_ += sizeof(T);
    ++count_;
    return value;
  }
  int count() const { return count_; }

 private:
  Warp& w_;
  int lane_;
  uint64_t at_;
  int count_ = 0;
};

template <class T>
std::string formatted(const std::string& spec, T value) {
  char buffer[512];
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
  const int n = std::snprintf(buffer, sizeof(buffer), spec.c_str(), value);
  if (n < static_cast<int>(sizeof(buffer))) return n < 0 ? "" : std::string(buffer, static_cast<std::size_t>(n));
  std::string large(static_cast<std::size_t>(n) + 1, '\0');
  std::snprintf(&large[0], large.size(), spec.c_str(), value);
#pragma GCC diagnostic pop
  large.pop_back();
  return large;
}

// The output of one lane.
std::string print(Warp& w, int lane, const std::string& format, Arguments& arguments) {
  std::string out;
  for (std::size_t i = 0; i < format.size();) {
    if (format[i] != '%') {
      out += format[i++];
      continue;
    }
    std::string spec = "%";
    bool isLong = false;
    for (++i; i < format.size() && std::strchr("-+ #0123456789.*hljztL", format[i]) != nullptr; ++i) {
      const char c = format[i];
      if (c == '*') {
        spec += std::to_string(arguments.next<int32_t>());
      } else if (std::strchr("hljztL", c) == nullptr) {
        spec += c;
      } else if (c != 'h') {
        isLong = isLong || c != 'L';
      } else {
        spec += c;
      }
    }
    if (i == format.size()) return out + spec;
    const char kind = format[i++];
    if (kind == '%') {
      out += '%';
    } else if (std::strchr("di", kind) != nullptr) {
      out += isLong ? formatted(spec + "lld", static_cast<long long>(arguments.next<int64_t>()))
                    : formatted(spec + "d", arguments.next<int32_t>());
    } else if (std::strchr("uoxX", kind) != nullptr) {
      out += isLong ? formatted(spec + "ll" + kind, static_cast<unsigned long long>(arguments.next<uint64_t>()))
                    : formatted(spec + kind, arguments.next<uint32_t>());
    } else if (kind == 'c') {
      out += formatted(spec + kind, arguments.next<int32_t>());
    } else if (std::strchr("fFeEgGaA", kind) != nullptr) {
      out += formatted(spec + kind, arguments.next<double>());
    } else if (kind == 'p') {
      out += formatted(spec + kind, reinterpret_cast<const void*>(arguments.next<uint64_t>()));
    } else if (kind == 's') {
      const uint64_t string = arguments.next<uint64_t>();
      out += string == 0 ? "(null)" : formatted(spec + kind, text(w, lane, string, "string of printf").c_str());
    } else {
      out += spec + kind;
    }
  }
  return out;
}

// d = the number of arguments, or -1 without a format. All lanes' lines are kept until the launch is over.
void printFormatted(Warp& w, const Instruction& in, uint32_t mask) {
  const uint64_t *formats = reg<uint64_t>(w, in.a), *lists = reg<uint64_t>(w, in.b);
  int32_t* d = reg<int32_t>(w, in.d);
  std::string all;
  eachLane(mask, [&](int lane) {
    if (formats[lane] == 0) {
      d[lane] = -1;
      return;
    }
    Arguments arguments(w, lane, lists[lane]);
    all += print(w, lane, text(w, lane, formats[lane], "format of printf"), arguments);
    d[lane] = arguments.count();
  });
  RunState& run = *w.block->run;
  const std::lock_guard<std::mutex> lock(run.mutex);
  run.result.output += all;
}

// a: the assertion, b: file, c: line, e: function.
void assertionFailed(Warp& w, const Instruction& in, uint32_t mask) {
  const int lane = __builtin_ctz(mask);
  const auto string = [&](uint32_t offset) {
    const uint64_t address = reg<uint64_t>(w, offset)[lane];
    return address == 0 ? std::string() : text(w, lane, address, "text of an assertion");
  };
  throw Fault{"assert", 710, lane,
              string(in.b) + ":" + std::to_string(reg<uint32_t>(w, in.c)[lane]) + ": " + string(in.e) +
                  ": assertion `" + string(in.a) + "` failed"};
}

}  // namespace

void addSystemForms(FormTable& table) {
  table.add("vprintf", "D4A8B8", &printFormatted, Class::control);
  table.add("__assertfail", "A8B8C4E8", &assertionFailed, Class::control);
}

}  // namespace warploom::cudasim
