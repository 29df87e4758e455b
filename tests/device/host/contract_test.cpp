// The kernels of products and lookups over local arrays: odd sizes, any strides, windows into a shard.
// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <vector>

#include <tess/device/dry.hpp>
#include <tess/device/host/contract.hpp>
#include <tess/device/host/lookup.hpp>

using namespace tess;

namespace {
/// "bmk,bkn->bmn" on dense operands, y transposed to [b, n, m] when asked.
host::ContractionWalks dense(index_t B, index_t M, index_t N, index_t K, bool transposed) {
  host::ContractionWalks w;
  w.batch.push(B, M * K, K * N, M * N);
  w.rows.push(M, K, 0, transposed ? 1 : N);
  w.columns.push(N, 0, 1, transposed ? M : 1);
  w.summed.push(K, 1, N, 0);
  return w;
}
}  // namespace

TEST_CASE_TEMPLATE("contract: every size around a tile, in f32, f64 and i32", T, f32, f64, i32) {
  host::ThreadPool pool(2);
  for (const index_t M : {1, 7, 8, 9})
    for (const index_t N : {1, 15, 16, 33})
      for (const index_t K : {0, 1, 5})
        for (const bool transposed : {false, true}) {
          const index_t B = 2;
          std::vector<T> x(static_cast<std::size_t>(B * M * K)), w(static_cast<std::size_t>(B * K * N)),
              y(static_cast<std::size_t>(B * M * N), T(99));
          for (std::size_t i = 0; i < x.size(); ++i) x[i] = static_cast<T>(static_cast<index_t>(i % 7) - 3);
          for (std::size_t i = 0; i < w.size(); ++i) w[i] = static_cast<T>(static_cast<index_t>(i % 5) - 2);
          host::contract<T>(pool, y.data(), x.data(), w.data(), dense(B, M, N, K, transposed));
          bool equal = true;
          for (index_t b = 0; b < B; ++b)
            for (index_t m = 0; m < M; ++m)
              for (index_t n = 0; n < N; ++n) {
                T sum{};
                for (index_t k = 0; k < K; ++k)
                  sum += x[static_cast<std::size_t>((b * M + m) * K + k)] *
                         w[static_cast<std::size_t>((b * K + k) * N + n)];
                const index_t at = b * M * N + (transposed ? n * M + m : m * N + n);
                equal = equal && y[static_cast<std::size_t>(at)] == sum;
              }
          CAPTURE(M);
          CAPTURE(N);
          CAPTURE(K);
          CAPTURE(transposed);
          CHECK(equal);
        }
}

TEST_CASE("window: the finer half of a shard begins where the finer spec says") {
  struct a;
  struct b;
  using M = Mesh<Axis<a, 2>, Axis<b, 2>>;
  using X = ShardedTensor<f32, Shape<8, 12>, M, P<a>>;
  constexpr SpecValue read = spec_value<P<Axes<a, b>, None>, M, 2>;
  for (index_t device = 0; device < 4; ++device) {
    const host::Window w = host::window(X{}, read, device);
    CHECK(w.begin == device % 2 * 2 * 12);  // of 4 rows in the shard, rows 0 … 1 or 2 … 3
    CHECK(w.extent[0] == 2);
    CHECK(w.extent[1] == 12);
    CHECK(w.stride[0] == 12);
    CHECK(w.size() == 24);
  }
}

TEST_CASE("gather_rows gives zeros for rows elsewhere; scatter_rows drops them and adds up the rest") {
  host::ThreadPool pool(1);
  const std::vector<f32> table = {1, 2, 3, 4};  // rows 2 and 3 of four, two columns
  const std::vector<i32> ids = {3, 0, 2, 3};
  host::LookupWalk walk;
  walk.rank = 2;
  walk.extent = {4, 2}, walk.ids = {1, 0}, walk.table = {0, 1};
  walk.row_stride = 2, walk.first = 2, walk.rows = 2;
  std::vector<f32> y(8, -1.0f);
  host::gather_rows(pool, y.data(), table.data(), ids.data(), walk);
  CHECK(y == std::vector<f32>{3, 4, 0, 0, 1, 2, 3, 4});
  std::vector<f32> sums(4, 0.0f);
  host::scatter_rows(sums.data(), y.data(), ids.data(), walk, {2, 1});
  CHECK(sums == std::vector<f32>{1, 2, 6, 8});
}
