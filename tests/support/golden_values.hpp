// Numbers of tensors and how far they are apart; rows of a batch: what the tests against goldens share.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cmath>
#include <span>
#include <vector>

#include <tess/device/host.hpp>
#include <tess/ops/attention.hpp>
#include <tess/sharding/device_slice.hpp>

namespace tess::test {

using Values = std::vector<f64>;

/// ‖found − truth‖ / ‖truth‖
inline f64 relative_error(const Values& found, const Values& truth) {
  f64 off = 0, all = found.size() == truth.size() ? 0 : NAN;
  for (std::size_t i = 0; i < truth.size() && !std::isnan(all); ++i)
    off += (found[i] - truth[i]) * (found[i] - truth[i]), all += truth[i] * truth[i];
  return std::sqrt(off / all);
}

/// Index of the largest of `count` values from `at` on; ties to the lower one.
inline std::size_t argmax(const Values& v, std::size_t at, std::size_t count) {
  std::size_t best = at;
  for (std::size_t i = at; i < at + count; ++i)
    if (v[i] > v[best]) best = i;
  return best - at;
}

/// The whole of a finished tensor, collected from its shards without moving a byte on the mesh. Replicas must agree bit for bit.
template <AnyTensor X>
Values whole(const X& x) {
  static_assert(X::sharding.partial == 0);
  const auto& all = x.extents();
  const auto& local = x.local_extents();
  Values values(static_cast<std::size_t>(all.size()));
  std::vector<bool> known(values.size());
  for (index_t r = 0; r < X::mesh::size; ++r) {
    const auto slice = device_slice<typename X::spec, typename X::mesh>(all, r);
    for (index_t i = 0; i < x.local_extents().size(); ++i) {
      index_t at = 0, rest = i, stride = 1;
      for (int d = X::rank - 1; d >= 0; --d) {
        at += (slice[static_cast<std::size_t>(d)].begin + rest % local[d]) * stride;
        rest /= local[d], stride *= all[d];
      }
      const auto here = static_cast<std::size_t>(at);
      const auto value = static_cast<f64>(x.storage().data(r)[i]);
      if (known[here] && !(values[here] == value))
        fail("replicas of element ", at, " differ: ", values[here], " and ", value);
      values[here] = value, known[here] = true;
    }
  }
  return values;
}

/// One segment a row, each from `start` on.
inline std::vector<Segment> segments(std::span<const index_t> counts, std::span<const index_t> starts = {}) {
  std::vector<Segment> rows;
  for (std::size_t b = 0; b < counts.size(); ++b)
    rows.push_back({static_cast<index_t>(b), starts.empty() ? 0 : starts[b], counts[b]});
  return rows;
}
inline Segments view(const std::vector<Segment>& rows) { return {rows.data(), static_cast<index_t>(rows.size())}; }

}  // namespace tess::test
