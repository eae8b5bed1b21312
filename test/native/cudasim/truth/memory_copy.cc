// cp.async: sizes, bytes that are missing, groups and their waits.
#include "own.h"

namespace warploom::test {

namespace {

// Each thread copies four times from its 64 bytes of global memory into its 64 bytes of shared memory, 16 bytes apart,
// and commits after each. Then `wait`; then it stores what the shared memory holds.
std::string kernel(const std::string& copy, const std::string& wait, int from, int to) {
  std::string text =
      ".visible .entry k$(.param .u64 in, .param .u64 out, .param .u64 sizes)\n{\n"
      ".reg .pred %p<4>; .reg .b16 %h<4>; .reg .b32 %r<9>; .reg .b64 %d<9>;\n.shared .align 16 .b8 sm[4096];\n"
      "mov.u32 %r0, %tid.x; mul.wide.u32 %d0, %r0, 64; ld.param.u64 %d1, [in]; add.u64 %d1, %d1, %d0;\n"
      "ld.param.u64 %d2, [out]; add.u64 %d2, %d2, %d0; mov.u64 %d3, sm; add.u64 %d3, %d3, %d0;\n"
      "ld.param.u64 %d4, [sizes]; mul.wide.u32 %d5, %r0, 4; add.u64 %d4, %d4, %d5; ld.global.u32 %r1, [%d4];\n"
      "setp.eq.u32 %p1, %r1, 0; mov.u32 %r2, sm; mad.lo.u32 %r2, %r0, 64, %r2;\n";
  for (int k = 0; k < 4; ++k) {
    std::string one = copy;
    // A 64-bit address and one with offsets, and a 32-bit one.
    replace(one, "{dst}", (k % 2 == 0 ? "[%d3+" : "[%r2+") + std::to_string(16 * k) + "]");
    replace(one, "{src}", "[%d1+" + std::to_string(16 * k) + "]");
    text += one + " cp.async.commit_group;\n";
  }
  text += wait + "\n";
  for (int i = 16 * from; i < 16 * to; ++i) {
    const std::string at = "+" + std::to_string(i) + "]";
    text += "ld.shared.b8 %h0, [%d3" + at + "; st.global.b8 [%d2" + at + ", %h0;\n";
  }
  return text + "cp.async.wait_all;\nret;\n}\n";
}

std::vector<uint8_t> noiseBytes(std::size_t n) {
  Noise noise(53);
  std::vector<uint8_t> data(n);
  for (uint8_t& byte : data) byte = static_cast<uint8_t>((noise() >> 20 & 0x7f) | 1);  // neither zero nor poison
  return data;
}

// Copies that are complete: `given(thread)` bytes of `size`, then zeros, and nothing behind.
void check(const std::string& form, const std::string& copy, int size, const std::vector<uint32_t>& sizes,
           const std::function<int(std::size_t)>& given) {
  Proof proof(kernel(copy, "cp.async.wait_group 0;", 0, 4));
  proof.settings.init = false;  // the bytes behind a copy of fewer than 16 are looked at, too
  const std::vector<uint8_t> data = noiseBytes(4096);
  const uint64_t out = proof.put(std::vector<uint8_t>(4096));
  proof.launch({1}, {64}, proof.put(data), out, proof.put(sizes));
  const std::vector<uint8_t> got = proof.get<uint8_t>(out, 4096);
  for (std::size_t i = 0; i < 4096; ++i) {
    const int byte = static_cast<int>(i % 16);
    if (byte >= size) {
      if (got[i] != 0xff) return wrong(form, "a byte behind the copy", i, got[i], 0xff);
      continue;
    }
    const uint8_t wanted = byte < given(i / 64) ? data[i] : 0;
    if (got[i] != wanted) return wrong(form, "byte", i, got[i], wanted);
  }
}

void copy(const std::string& form) {
  const int size = std::atoi(form.c_str() + form.find('#') + 1);
  const std::string tail = ".shared.global {dst}, {src}, " + std::to_string(size);
  std::vector<uint32_t> sizes(64);
  for (std::size_t i = 0; i < 64; ++i) sizes[i] = static_cast<uint32_t>(i) % static_cast<uint32_t>(size + 1);
  if (form.find("#p") != std::string::npos) {
    // A predicate says that the source is to be ignored: zeros.
    check(form, "cp.async.ca" + tail + ", %p1;", size, sizes, [&](std::size_t t) { return sizes[t] == 0 ? 0 : size; });
    check(form, "cp.async.ca" + tail + ", !%p1;", size, sizes, [&](std::size_t t) { return sizes[t] != 0 ? 0 : size; });
    return;
  }
  for (const std::string cache : {".ca", ".cg"}) {
    if (cache == ".cg" && size != 16) continue;
    check(form, "cp.async" + cache + tail + ";", size, sizes, [&](std::size_t) { return size; });
    check(form, "cp.async" + cache + tail + ", %r1;", size, sizes,
          [&](std::size_t t) { return static_cast<int>(sizes[t]); });
    check(form, "cp.async" + cache + tail + ", 3;", size, sizes, [&](std::size_t) { return 3; });
  }
  // Fewer bytes than the size of the copy may be all that the allocation has.
  Proof proof(kernel("cp.async.ca" + tail + ", %r1;", "cp.async.wait_all;", 0, 0));
  proof.launch({1}, {1}, proof.put(std::vector<uint8_t>(50)), proof.put(std::vector<uint8_t>(64)),
               proof.put(std::vector<uint32_t>{2}));
}

// What is complete after a wait can be read without a finding; the group behind it cannot.
void waits(const std::string& form) {
  const std::string cp = "cp.async.ca.shared.global {dst}, {src}, 16;";
  const auto run = [&](const std::string& wait, int from, int to) {
    Proof proof(kernel(cp, wait, from, to));
    const std::vector<uint8_t> data = noiseBytes(4096);
    const uint64_t out = proof.put(std::vector<uint8_t>(4096));
    const LaunchResult result =
        proof.run(proof.kernel(), {1}, {64}, 0, proof.put(data), out, proof.put(std::vector<uint32_t>(64)));
    const std::vector<uint8_t> got = proof.get<uint8_t>(out, 4096);
    bool right = true;
    for (std::size_t i = 0; i < 4096; ++i) {
      const int part = static_cast<int>(i % 64 / 16);
      if (part >= from && part < to) right = right && got[i] == data[i];
    }
    return std::make_pair(right, result.findings.size());
  };
  const auto complete = [&](const std::string& wait, int groups) {
    Note note(wait);
    if (groups > 0) {
      const auto done = run(wait, 0, groups);
      CHECK(done.first && done.second == 0);
    }
    if (groups < 4) {
      const auto open = run(wait, groups, groups + 1);
      CHECK(!open.first && open.second > 0);
    }
  };
  if (form == "cp.async.wait_all") {
    complete("cp.async.wait_all;", 4);
  } else if (form == "cp.async.wait_group") {
    for (int n = 0; n < 6; ++n) complete("cp.async.wait_group " + std::to_string(n) + ";", n < 4 ? 4 - n : 0);
  } else {
    complete("", 0);
    // A group may be empty: two empty ones push the copies out of the newest two.
    complete("cp.async.commit_group; cp.async.commit_group; cp.async.wait_group 2;", 4);
    complete("cp.async.commit_group; cp.async.wait_group 2;", 3);
  }
}

}  // namespace

void addCopyTruths(Truths& truths) {
  for (const char* size : {"4", "8", "16"}) {
    truths.own(std::string("cp.async.shared.global#") + size, copy);
    truths.own(std::string("cp.async.shared.global#") + size + "#p", copy);
  }
  for (const char* name : {"wait_all", "wait_group", "commit_group"})
    truths.own(std::string("cp.async.") + name, waits);
}

}  // namespace warploom::test
