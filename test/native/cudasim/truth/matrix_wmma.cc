// wmma: matrices of small integers are loaded, multiplied and stored; which lane holds what is nobody's business, the
// result is.
#include <algorithm>

#include "half_bits.h"
#include "own.h"

namespace warploom::test {

namespace {

struct Operand {
  std::string type = "f32", order = "row", space = "global";
  int rows = 0, columns = 0;
  bool strided = true;

  bool byColumn() const { return order == "col"; }
  int bytes() const {
    return type == "f64" ? 8 : type == "f16" || type == "bf16" ? 2 : type == "s8" || type == "u8" ? 1 : 4;
  }
  int stride() const { return (byColumn() ? rows : columns) + (strided ? 16 : 0); }
  std::size_t at(int row, int column) const {
    return static_cast<std::size_t>(byColumn() ? column * stride() + row : row * stride() + column);
  }
  int registers(bool isSum) const {
    if (type == "f16" && !isSum) return 8;
    return rows * columns * std::min(bytes(), 4) / 128;
  }
};
constexpr std::size_t kRoom = 8192;  // bytes of a matrix, at most

uint64_t encode(const std::string& type, int64_t value) {
  if (type == "f16") return encode16(static_cast<double>(value), kFloat16);
  if (type == "bf16") return encode16(static_cast<double>(value), kBFloat16);
  if (type == "f64") return to<double>(static_cast<double>(value));
  if (type == "f32" || type == "tf32") return to<float>(static_cast<float>(value));
  return static_cast<uint64_t>(value);
}

struct Task {
  int m = 16, n = 16, k = 16;
  Operand a, b, c, d;
  std::string multiply;  // the instruction, with everything
  bool saturates = false;
};

std::string list(const char* file, int first, int count) {
  std::string text;
  for (int i = 0; i < count; ++i) text += (i == 0 ? "{" : ", ") + std::string(file) + std::to_string(first + i);
  return text + "}";
}
std::string shapeName(const Task& task) {
  return "m" + std::to_string(task.m) + "n" + std::to_string(task.n) + "k" + std::to_string(task.k);
}

void run(const std::string& form, const Task& task) {
  const Operand* const operands[] = {&task.a, &task.b, &task.c, &task.d};
  const char* const names[] = {"a", "b", "c", "d"};
  const bool wide = task.a.type == "f64";
  const char* file = wide ? "%d" : "%r";
  std::string text =
      ".visible .entry k$(.param .u64 a, .param .u64 b, .param .u64 c, .param .u64 d)\n{\n"
      ".reg .pred %p<2>; .reg .b32 %r<60>; .reg .b64 %d<60>;\nmov.u32 %r50, %tid.x;\n";
  // Words of a matrix from %d51 to %d52 (or what `from` and `to` are), 32 threads at a time.
  int loops = 0;
  const auto copy = [&](const std::string& from, const std::string& to) {
    const std::string label = "copy" + std::to_string(loops++);
    return "mov.u64 %d53, %d51; mov.u64 %d54, %d52; mov.u32 %r51, %r50;\n" + label + ": ld." + from +
           ".u32 %r52, [%d53]; st." + to + ".u32 [%d54], %r52; add.u64 %d53, %d53, 128; add.u64 %d54, %d54, 128;\n" +
           "add.u32 %r51, %r51, 32; setp.lt.u32 %p1, %r51, 2048; @%p1 bra " + label + "; bar.warp.sync 0xffffffff;\n";
  };
  std::string store, back;
  int first[4] = {}, next = 0;
  for (int i = 0; i < 4; ++i) {
    const Operand& operand = *operands[i];
    const int count = operand.registers(i >= 2);
    first[i] = next;
    next += count;
    const std::string name = names[i], number = std::to_string(40 + i), space = operand.space;
    text += "ld.param.u64 %d" + number + ", [" + name + "];\n";
    if (space == "shared") {
      text += ".shared .align 32 .b8 sm" + name + "[8192];\n";
      text += "mul.wide.u32 %d55, %r50, 4; add.u64 %d51, %d" + number + ", %d55; mov.u64 %d52, sm" + name +
              "; add.u64 %d52, %d52, %d55;\n" + copy("global", "shared");
      if (i == 3) {
        back =
            "ld.param.u64 %d43, [d]; mul.wide.u32 %d55, %r50, 4; add.u64 %d52, %d43, %d55; mov.u64 %d51, smd; add.u64 "
            "%d51, %d51, %d55;\n" +
            copy("shared", "global");
      }
      text += "mov.u64 %d" + number + ", sm" + name + ";\n";
    }
    const std::string address = "[%d" + number + "]", stride = operand.strided ? ", %r53" : "";
    const std::string opcode = std::string(i == 3 ? "wmma.store.d" : "wmma.load." + name) + ".sync.aligned." +
                               operand.order + "." + shapeName(task) + (space.empty() ? "" : "." + space) + "." +
                               operand.type + " ";
    std::string& into = i == 3 ? store : text;
    into += "mov.u32 %r53, " + std::to_string(operand.stride()) + ";\n" + opcode;
    into += i == 3 ? address + ", " + list(file, first[i], count) : list(file, first[i], count) + ", " + address;
    into += stride + ";\n";
  }
  text += task.multiply + " " + list(file, first[3], task.d.registers(true));
  for (int i = 0; i < 3; ++i) text += ", " + list(file, first[i], operands[i]->registers(i == 2));
  Proof proof(text + ";\n" + store + "bar.warp.sync 0xffffffff;\n" + back + "ret;\n}\n");

  Noise noise(67);
  for (int round = 0; round < 2; ++round) {
    std::vector<std::vector<int64_t>> values;
    std::vector<std::vector<uint8_t>> memory;
    for (int i = 0; i < 4; ++i) {
      const Operand& operand = *operands[i];
      std::vector<uint8_t> bytes(kRoom);
      for (uint8_t& byte : bytes) byte = static_cast<uint8_t>(noise() >> 13);
      std::vector<int64_t> matrix;
      for (int row = 0; row < operand.rows; ++row) {
        for (int column = 0; column < operand.columns && i < 3; ++column) {
          const auto random = static_cast<int64_t>(noise() >> 16 & 0xffff);
          int64_t value = random % 17 - 8;
          if (operand.type == "u8") value = random % 256;
          if (operand.type == "s8") value = random % 256 - 128;
          if (operand.type == "s32") {
            value = random % 3 == 0 ? INT32_MAX - random : random % 3 == 1 ? INT32_MIN + random : random;
          }
          matrix.push_back(value);
          const uint64_t bits = encode(operand.type, value);
          const std::size_t width = static_cast<std::size_t>(operand.bytes());
          std::memcpy(&bytes[operand.at(row, column) * width], &bits, width);
        }
      }
      values.push_back(matrix);
      memory.push_back(bytes);
    }
    std::vector<uint64_t> at;
    for (const auto& bytes : memory) at.push_back(proof.put(bytes));
    proof.launch({1}, {32}, at[0], at[1], at[2], at[3]);
    for (int row = 0; row < task.m; ++row) {
      for (int column = 0; column < task.n; ++column) {
        int64_t sum = values[2][static_cast<std::size_t>(row * task.n + column)];
        for (int i = 0; i < task.k; ++i) {
          sum += values[0][static_cast<std::size_t>(row * task.k + i)] *
                 values[1][static_cast<std::size_t>(i * task.n + column)];
        }
        if (task.saturates) sum = std::min(std::max(sum, int64_t{INT32_MIN}), int64_t{INT32_MAX});
        const uint64_t bits = encode(task.d.type, sum);
        const std::size_t width = static_cast<std::size_t>(task.d.bytes());
        std::memcpy(&memory[3][task.d.at(row, column) * width], &bits, width);
      }
    }
    const std::vector<uint8_t> got = proof.get<uint8_t>(at[3], kRoom);
    for (std::size_t i = 0; i < kRoom; ++i) {
      if (got[i] != memory[3][i]) return wrong(form, "byte", i, got[i], memory[3][i]);
    }
  }
}

// Fills in what the form leaves open: the types that go with the one that it names.
void wmma(const std::string& form) {
  const std::vector<std::string> parts = partsOf(form);
  Task task;
  std::vector<std::string> types, orders;
  std::string space;
  for (std::size_t i = 2; i < parts.size(); ++i) {
    const std::string& part = parts[i];
    if (part[0] == 'm') {
      std::sscanf(part.c_str(), "m%dn%dk%d", &task.m, &task.n, &task.k);
    } else if (part == "row" || part == "col") {
      orders.push_back(part);
    } else if (part == "global" || part == "shared") {
      space = part;
    } else if (part == "satfinite") {
      task.saturates = true;
    } else if (part.size() > 1 && part != "sync" && part != "aligned" && part != "rn") {
      types.push_back(part);
    }
  }
  std::string factors = task.k == 8 ? "tf32" : task.k == 4 ? "f64" : "f16", sums = task.k == 4 ? "f64" : "f32";
  std::string result = sums;
  Operand* named = nullptr;
  if (parts[1] == "mma") {
    factors = types.size() == 4 ? types[1] : "f16";
    result = types.front();
    sums = types.back();
    task.a.order = orders[0];
    task.b.order = orders[1];
  } else if (parts[2] == "a" || parts[2] == "b") {
    named = parts[2] == "a" ? &task.a : &task.b;
    factors = types[0];
    if (factors == "s8" || factors == "u8") result = sums = "s32";
  } else {
    named = parts[2] == "c" ? &task.c : &task.d;
    result = sums = types[0];
    if (sums == "s32") factors = "s8";
  }
  task.a.type = task.b.type = factors;
  task.c.type = sums;
  task.d.type = result;
  const auto size = [](Operand& operand, int rows, int columns) { operand.rows = rows, operand.columns = columns; };
  size(task.a, task.m, task.k);
  size(task.b, task.k, task.n);
  size(task.c, task.m, task.n);
  size(task.d, task.m, task.n);
  if (named != nullptr) named->order = orders[0], named->space = space;
  task.multiply = form;
  if (parts[1] != "mma") {
    const std::string types4 = result + "." + factors + "." + factors + "." + sums;
    task.multiply = "wmma.mma.sync.aligned." + task.a.order + "." + task.b.order + "." + shapeName(task) + "." +
                    (factors == "f16" ? result + "." + sums : types4);
  }
  run(form, task);
  if (named == nullptr) return;
  named->strided = false;  // the stride may be left out
  run(form, task);
}

}  // namespace

void addWmmaTruths(Truths& truths) {
  struct Kind {
    std::vector<const char*> shapes, factors, sums, products;
  };
  const Kind kinds[] = {{{"m16n16k16", "m32n8k16", "m8n32k16"},
                         {"f16", "bf16", "s8", "u8"},
                         {"f16", "f32", "s32"},
                         {"f16.f16", "f16.f32", "f32.f16", "f32.f32", "f32.bf16.bf16.f32", "s32.s8.s8.s32",
                          "s32.u8.u8.s32", "s32.s8.s8.s32.satfinite", "s32.u8.u8.s32.satfinite"}},
                        {{"m16n16k8"}, {"tf32"}, {"f32"}, {"f32.tf32.tf32.f32"}},
                        {{"m8n8k4"}, {"f64"}, {"f64"}, {"f64.f64.f64.f64", "f64.f64.f64.f64.rn"}}};
  for (const Kind& kind : kinds) {
    for (const std::string shape : kind.shapes) {
      for (const std::string order : {"row", "col"}) {
        const std::string middle = ".sync.aligned." + order + "." + shape;
        for (const std::string space : {"", ".global", ".shared"}) {
          for (const char* type : kind.factors) {
            truths.own("wmma.load.a" + middle + space + "." + type, wmma);
            truths.own("wmma.load.b" + middle + space + "." + type, wmma);
          }
          for (const char* type : kind.sums) {
            truths.own("wmma.load.c" + middle + space + "." + type, wmma);
            truths.own("wmma.store.d" + middle + space + "." + type, wmma);
          }
        }
        for (const std::string second : {"row", "col"}) {
          for (const char* types : kind.products) {
            truths.own("wmma.mma.sync.aligned." + order + "." + second + "." + shape + "." + types, wmma);
          }
        }
      }
    }
  }
}

}  // namespace warploom::test
