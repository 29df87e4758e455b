// Cost: the bill of a program for one device, in integers; what it moves and what it computes, line by line.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <array>
#include <string_view>

#include "collectives.hpp"

namespace tess {

/// The collectives of one kind over the same axes of the mesh, all calls together.
struct TransferLine {
  Collective kind = Collective::slice;
  unsigned axes = 0;           // positions of the mesh, one bit each
  index_t devices = 0;         // in a group
  bool between_hosts = false;  // does the mesh's type say that a group spans several hosts?
  index_t count = 0;
  index_t messages = 0;  // that follow one another: what latency is paid for
  index_t bytes = 0;     // received by the busiest device of every call

  constexpr bool operator==(const TransferLine&) const = default;
  constexpr bool is_of_a_kind_with(const TransferLine& o) const {
    return kind == o.kind && axes == o.axes && devices == o.devices && between_hosts == o.between_hosts;
  }
  /// Several kinds on one line: the widest group of them.
  constexpr void pool(const TransferLine& o) {
    axes |= o.axes;
    devices = devices > o.devices ? devices : o.devices;
    between_hosts = between_hosts || o.between_hosts;
  }
  template <class F>
  static constexpr void each_total(F f) {
    f(&TransferLine::count), f(&TransferLine::messages), f(&TransferLine::bytes);
  }
};

/// The work of one verb at one size, all calls together. Every operand is read once and every result written once.
struct WorkLine {
  std::string_view verb{};
  index_t count = 0;
  index_t flops = 0;             // products only; a multiply-add counts two
  index_t weight_bytes = 0;      // parameters read
  index_t cache_bytes = 0;       // caches read or written
  index_t activation_bytes = 0;  // activations read and written

  constexpr bool operator==(const WorkLine&) const = default;
  constexpr index_t memory_bytes() const { return weight_bytes + cache_bytes + activation_bytes; }
  /// The same verb, and one call of it has the same size. (What differs most often is asked first.)
  constexpr bool is_of_a_kind_with(const WorkLine& o) const {
    return activation_bytes / count == o.activation_bytes / o.count && flops / count == o.flops / o.count &&
           weight_bytes / count == o.weight_bytes / o.count && cache_bytes / count == o.cache_bytes / o.count &&
           verb == o.verb;
  }
  constexpr void pool(const WorkLine&) { verb = "the rest"; }
  template <class F>
  static constexpr void each_total(F f) {
    f(&WorkLine::count), f(&WorkLine::flops);
    f(&WorkLine::weight_bytes), f(&WorkLine::cache_bytes), f(&WorkLine::activation_bytes);
  }
};

/// Lines in the order in which their kinds came first. When all are taken, further kinds share the last one: totals stay
/// exact, and only the division into kinds gets coarse.
template <class Line, int Capacity>
class Ledger {
 public:
  constexpr int size() const { return size_; }
  constexpr const Line& operator[](int i) const { return lines_[static_cast<std::size_t>(i)]; }
  constexpr const Line* begin() const { return lines_.data(); }
  constexpr const Line* end() const { return lines_.data() + size_; }
  constexpr bool operator==(const Ledger& o) const {
    for (int i = 0; i < size_ && i < o.size_; ++i)
      if (!((*this)[i] == o[i])) return false;
    return size_ == o.size_;
  }

  constexpr void add(const Line& line) {
    int i = 0;
    while (i < size_ && !at(i).is_of_a_kind_with(line)) ++i;
    if (i == Capacity) {
      at(--i).pool(line);
    } else if (i == size_) {
      at(size_++) = line;
      return;
    }
    Line::each_total([&](auto total) { at(i).*total += line.*total; });
  }

  /// What was added since `before` counts n times.
  constexpr void repeat_since(const Ledger& before, index_t n) {
    for (int i = 0; i < size_; ++i)
      Line::each_total([&](auto total) { at(i).*total += (n - 1) * (at(i).*total - before[i].*total); });
  }

  /// The sum of value(line) over all lines.
  template <class F>
  constexpr auto sum(F value) const {
    decltype(value(Line{})) all{};
    for (const Line& l : *this) all += value(l);
    return all;
  }

 private:
  int size_ = 0;
  std::array<Line, static_cast<std::size_t>(Capacity)> lines_{};

  constexpr Line& at(int i) { return lines_[static_cast<std::size_t>(i)]; }
};

struct Cost {
  index_t collectives = 0;  // steps that move bytes
  index_t bytes = 0;        // received by one device
  index_t flops = 0;        // of one device; a multiply-add counts two
  index_t peak_bytes = 0;   // activations alive at once on one device (parameters and caches are not among them)
  index_t cache_bytes = 0;  // caches that the program made, on one device
  Ledger<TransferLine, 24> transfers{};
  Ledger<WorkLine, 48> work{};

  constexpr bool operator==(const Cost&) const = default;
  /// Parameters read from memory by one device: more than it holds when it reads them again, less when it needs few.
  constexpr index_t weight_bytes() const {
    return work.sum([](const WorkLine& w) { return w.weight_bytes; });
  }
  constexpr index_t memory_bytes() const {
    return work.sum([](const WorkLine& w) { return w.memory_bytes(); });
  }
  /// Received over the links between hosts, as far as the mesh's type names hosts (HybridAxis).
  constexpr index_t bytes_between_hosts() const {
    return transfers.sum([](const TransferLine& t) { return t.between_hosts ? t.bytes : index_t{0}; });
  }
};

}  // namespace tess
