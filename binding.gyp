{
  # The addon alone, with plain g++: what a user runs on a machine that no prebuilt binary fits (README). CMakeLists.txt builds the
  # same sources with the same flags, and the tests beside.
  "targets": [
    {
      "target_name": "warploom",
      "sources": ["<!@(ls native/engine/*.cc native/cpu/*.cc native/cuda/[!a]*.cc native/binding/*.cc)"],
      "include_dirs": ["native", "<!(node -p \"require('node-addon-api').include_dir\")"],
      "defines": ["NAPI_VERSION=9", "NODE_ADDON_API_CPP_EXCEPTIONS", "NODE_API_SWALLOW_UNTHROWABLE_EXCEPTIONS"],
      "cflags!": ["-fno-exceptions"],
      "cflags_cc!": ["-fno-exceptions", "-fno-rtti", "-std=gnu++17", "-std=gnu++20"],
      "cflags_cc": [
        "-std=gnu++17",
        "-O3",
        "-ffp-contract=off",
        "-fno-math-errno",
        "-fno-trapping-math",
        "-fvisibility=hidden",
        "-include",
        "engine/symbol_floor.h",
        "-Wall",
        "-Wextra"
      ],
      "libraries": ["-lpthread", "-ldl"],
      "ldflags": ["-Wl,--gc-sections"]
    }
  ]
}
