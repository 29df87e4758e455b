// The one exception type: what was expected, what was found, and what to do, in one to three lines.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <stdexcept>
#include <string>

namespace tess {

/// Thrown for every fault that cannot be found at compile time: bad files, bad arguments, sizes that do not fit.
/// `what()` is written for the person at the terminal; programs print it on stderr and exit with code 2.
class Error : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// Thrown where the device that was asked for is not there, such as a GPU; programs say so on stderr and exit with code 3.
class NoDevice : public Error {
 public:
  using Error::Error;
};

/// Concatenates its arguments (strings and integers) and throws them as an `Error`.
template <class... Args>
[[noreturn]] void fail(const Args&... args) {
  std::string text;
  auto append = [&text](const auto& a) {
    if constexpr (requires { std::to_string(a); }) text += std::to_string(a);
    else text += a;
  };
  (append(args), ...);
  throw Error(text);
}

}  // namespace tess
