// The verbs of shard_map on Dry: what each costs one device.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <array>
#include <utility>

#include "../../comm/cost.hpp"
#include "../../core/error.hpp"
#include "../../sharding/sharded_tensor.hpp"

namespace tess::dry {

/// Mixed into Dry, which keeps the bill.
template <class Device>
class BlockVerbs {
 public:
  template <AnyTensor Y>
  constexpr void number_devices(Y&, const DimAxes&) {}
  template <AnyTensor Y, AnyTensor X, AnyTensor Start>
  constexpr void dynamic_slice(Y& y, const X&, const Start&, int) {
    self().map(0, y, y);
  }

  /// A device receives one block at most.
  template <AnyTensor Y, AnyTensor X, std::size_t N>
  constexpr void send(Y&, const X& x, const DimAxes& axes, const std::array<std::array<index_t, 2>, N>& pairs) {
    using M = typename X::mesh;
    index_t messages = 0;  // that the busiest sender sends
    for (const auto& pair : pairs) {
      index_t sent = 0;
      for (const auto& other : pairs) sent += other[0] == pair[0] && other[1] != other[0];
      messages = sent > messages ? sent : messages;
    }
    if (messages == 0) return;
    TransferLine line{
        .kind = Collective::permute, .axes = axes.mask(), .devices = parts<M>(axes), .count = 1, .messages = messages};
    for (int i = 0; i < axes.count; ++i) line.between_hosts = line.between_hosts || M::between_hosts(axes[i]);
    line.bytes = x.local_extents().size() * static_cast<index_t>(sizeof(typename X::value_type));
    self().transfer(line);
  }

  template <AnyTensor X>
  constexpr bool anywhere(const X&) {
    return true;
  }
  /// The dearer of the two: all devices go one way, and nobody knows yet which.
  template <AnyTensor X, class F, class G>
  constexpr auto choose(const X&, F f, G g) {
    auto& cost = self().cost;
    const auto before = cost;
    auto result = f();
    const auto first = cost;
    cost = before;
    auto* timeline = std::exchange(self().timeline, nullptr);  // which shows the first
    (void)g();
    self().timeline = timeline;
    const index_t peak = first.peak_bytes > cost.peak_bytes ? first.peak_bytes : cost.peak_bytes;
    if (first.bytes > cost.bytes || (first.bytes == cost.bytes && first.flops > cost.flops)) cost = first;
    cost.peak_bytes = peak;
    return result;
  }
  /// How often it turns is for values to say, so one turn is billed, which may move no bytes.
  template <class F>
  constexpr void repeat_while(F turn) {
    const index_t before = self().cost.bytes;
    turn();
    if (self().cost.bytes != before)
      fail(
          "[shard_map] a while_loop that moves bytes has no bill, as values say how often it turns: use a fori_loop "
          "between numbers");
  }

 private:
  constexpr Device& self() { return static_cast<Device&>(*this); }
};

}  // namespace tess::dry
