// Thrown by a device whose driver refused a call, and which goes on working.
#pragma once

#include <stdexcept>

namespace warploom {

class DriverFailure : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

}  // namespace warploom
