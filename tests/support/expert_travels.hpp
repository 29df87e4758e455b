// Routes at random, and what they let travel between devices that hold the experts: counted from the routes alone.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <set>

#include <tess/device/token_group.hpp>

#include "support/experts.hpp"

namespace support {

/// The choices and weights of tokens [B, T, k], as numbers.
struct Chosen {
  index_t B, T, k;
  std::vector<i32> experts;
  std::vector<f32> weights = random(7, static_cast<index_t>(experts.size()));

  index_t tokens() const { return B * T; }
  i32 operator()(index_t token, index_t j) const { return experts[static_cast<std::size_t>(token * k + j)]; }
};
/// k different experts a token of E, of which only `used` are (0: all); some choices of none.
inline Chosen random_choices(index_t E, index_t seed, index_t B, index_t T, index_t k, index_t used = 0,
                             bool drops = false) {
  const index_t experts = used ? used : E;
  std::vector<i32> ids;
  for (index_t token = 0; token < B * T; ++token) {
    std::vector<i32> order(static_cast<std::size_t>(experts));
    std::iota(order.begin(), order.end(), 0);
    std::stable_sort(order.begin(), order.end(),
                     [&](i32 a, i32 b) { return noise(seed + a, token) < noise(seed + b, token); });
    for (index_t j = 0; j < k; ++j)
      ids.push_back(drops && noise(seed + 99, token * k + j) > 0.3 ? no_expert : order[static_cast<std::size_t>(j)]);
  }
  return {B, T, k, ids};
}

/// Bytes of the two all-to-all, counted from the routes alone: tokens lie over (data, expert) in equal runs, expert e of
/// the run of E / P with device e / (E / P). `row` and `sum`: elements of a token going and coming.
struct Counted {
  index_t going = 0, coming = 0;  // received by the busiest device
};
inline Counted count(const Chosen& c, index_t E, index_t D, index_t P, index_t row, index_t sum) {
  Counted all;
  if (P == 1) return all;
  const index_t n = c.tokens() / (D * P);
  for (index_t d = 0; d < D; ++d)
    for (index_t here = 0; here < P; ++here) {
      index_t going = 0, coming = 0;
      for (index_t there = 0; there < P; ++there) {
        if (there == here) continue;
        going += 4;
        for (index_t token = 0; token < n; ++token) {
          std::set<index_t> of_there, of_here;  // where the experts of a token of there, and of here, are
          for (index_t j = 0; j < c.k; ++j) {
            const i32 a = c((d * P + there) * n + token, j), b = c((d * P + here) * n + token, j);
            if (a >= 0) of_there.insert(a / (E / P));
            if (b >= 0) of_here.insert(b / (E / P));
          }
          going += of_there.count(here) ? 4 * row + 8 * c.k : 0;
          coming += of_here.count(there) ? 4 * sum : 0;
        }
      }
      all.going = std::max(all.going, going);
      all.coming = std::max(all.coming, coming);
    }
  return all;
}

/// Over the usual meshes.
template <class F>
void on_meshes(F f) {
  f.template operator()<1, 1, 1>();
  f.template operator()<1, 2, 1>();
  f.template operator()<1, 4, 1>();
  f.template operator()<1, 8, 1>();
  f.template operator()<2, 2, 1>();
  f.template operator()<1, 2, 2>();
  f.template operator()<2, 2, 2>();
}

}  // namespace support
