// The machine's memory: the file's bytes taken one after the other, a stack of values, a memo, and the way to refuse.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "../core/error.hpp"
#include "array.hpp"
#include "pickle_opcodes.hpp"
#include "pickle_values.hpp"

namespace tess::io::detail::pickle {

/// Every access is checked: a file cannot read beyond its end, its stack or its memo.
class Stack {
 public:
  Stack(std::span<const std::byte> file, std::string_view name) : file_(file), name_(name) {}

 protected:
  template <class... Args>
  [[noreturn]] void refuse(const Args&... why) const {
    std::string op;
    for (const OpName& known : op_names)
      if (known.code == op_) op = ", opcode " + std::string(known.name);
    fail(name_, ": byte ", at_, op, ": ", why...);
  }

  std::span<const std::byte> take(std::uint64_t n) {
    const std::size_t rest = file_.size() - pos_;
    if (n > rest)
      refuse("needs ", n, " more bytes, but the file ends ", rest, " bytes later (size ", file_.size(), ").\n  ",
             "The file is truncated or damaged: download or copy it again.");
    const auto bytes = file_.subspan(pos_, static_cast<std::size_t>(n));
    pos_ += bytes.size();
    return bytes;
  }

  template <class T>
  T number() {
    return load<T>(take(sizeof(T)).data());  // any alignment, little-endian
  }

  void text(std::uint64_t n) {
    const auto bytes = take(n);
    push(Text(reinterpret_cast<const char*>(bytes.data()), bytes.size()));
  }

  void bytes(std::uint64_t n) {
    const auto data = take(n);
    push(Bytes{data, pos_ - data.size()});
  }

  void push(Value value) {
    values_.push_back(std::move(value));
    stack_.push_back(values_.size() - 1);
  }

  [[nodiscard]] Id top() const {
    if (stack_.empty() || is<Mark>(stack_.back())) refuse("takes a value from an empty stack.");
    return stack_.back();
  }

  Id pop() {
    const Id id = top();
    stack_.pop_back();
    return id;
  }

  std::vector<Id> pop_to_mark() {
    std::size_t first = stack_.size();
    while (first > 0 && !is<Mark>(stack_[first - 1])) --first;
    if (first == 0) refuse("there is no MARK on the stack.");
    std::vector<Id> items(stack_.begin() + static_cast<std::ptrdiff_t>(first), stack_.end());
    stack_.resize(first - 1);
    return items;
  }

  std::vector<Id> pop(std::size_t n) {
    std::vector<Id> items(n);
    while (n > 0) items[--n] = pop();
    return items;
  }

  template <class T>
  [[nodiscard]] bool is(Id id) const {
    return std::holds_alternative<T>(values_[id]);
  }

  template <class T>
  [[nodiscard]] bool equal(Id id, const T& expected) const {
    const T* found = std::get_if<T>(&values_[id]);
    return found && *found == expected;
  }

  template <class T>
  T& as(Id id, std::string_view what) {
    if (T* value = std::get_if<T>(&values_[id])) return *value;
    refuse("found ", kind_names[values_[id].index()], ", expected ", what, ".");
  }

  std::span<const std::byte> file_;
  std::string_view name_;
  std::size_t pos_ = 0;
  std::size_t at_ = 0;   // where the opcode begins
  std::uint8_t op_ = 0;  // and which it is
  std::vector<Value> values_;
  std::vector<Id> stack_, memo_;
};

}  // namespace tess::io::detail::pickle
