// Streaming products against float64: every weight type, odd extents, groups of scales, heads, experts, and fused.
// SPDX-License-Identifier: Apache-2.0
#include <tess/device/cuda/owned_weights.hpp>
#include <tess/device/cuda/stream_product.hpp>

#include "support/tensors.hpp"

namespace {
using namespace tess;
using cuda::Gpu;

template <class T>
std::shared_ptr<T> upload(Gpu& gpu, const std::vector<T>& values) {
  auto memory = gpu.scratch<T>(static_cast<index_t>(values.size()));
  gpu.upload(memory.get(), values.data(), static_cast<index_t>(values.size() * sizeof(T)));
  return memory;
}
template <class T>
std::vector<T> download(Gpu& gpu, const std::shared_ptr<T>& from, index_t count) {
  std::vector<T> values(static_cast<std::size_t>(count));
  gpu.download(values.data(), from.get(), count * static_cast<index_t>(sizeof(T)));
  return values;
}
template <class T>
std::vector<T> numbers(index_t seed, index_t count) {
  std::vector<T> values;
  for (const f32 v : support::random(seed, count)) values.push_back(T(v + v / 3000));  // more bits than bf16 has
  return values;
}

/// Matrices [count, K, N] on a GPU and their values.
template <class W>
struct Matrices;

template <class E>
struct Matrices<cuda::Weights<E>> {
  cuda::OwnedWeights<E> owned;
  std::vector<f64> values;

  Matrices(Gpu& gpu, index_t seed, index_t count, index_t K, index_t N, index_t group_rows = 1 << 30,
           index_t offset = 0)
      : owned(cuda::blank_weights<E>(gpu, count, K, N, true, group_rows, offset)) {
    const cuda::Weights<E>& w = owned.view;
    const auto all = support::random(seed, count * K * N, std::is_same_v<E, std::int8_t> ? 127 : 1);
    std::vector<E> elements;
    for (const f32 v : all) elements.push_back(static_cast<E>(v));
    cuda::copy_rows(gpu, const_cast<E*>(w.data), w.pitch, upload(gpu, elements).get(), N, N, count * K);
    std::vector<bf16> scales;
    if constexpr (w.has_scales) {
      for (const f32 v : support::random(seed + 1, count * w.groups * N)) scales.push_back(bf16(0.01f * (1.5f + v)));
      cuda::copy_rows(gpu, const_cast<bf16*>(w.scales), w.scale_pitch, upload(gpu, scales).get(), N, N,
                      count * w.groups);
    }
    for (index_t i = 0; i < count * K * N; ++i) {
      const index_t m = i / (K * N), k = i / N % K, n = i % N;
      f64 v = static_cast<f64>(static_cast<f32>(elements[static_cast<std::size_t>(i)]));
      if constexpr (w.has_scales)
        v *= static_cast<f64>(f32(scales[static_cast<std::size_t>((m * w.groups + w.group_of(k)) * N + n)]));
      values.push_back(v);
    }
    gpu.wait();
  }
  const cuda::Weights<E>& view() const { return owned.view; }
};

template <>
struct Matrices<cuda::EmbeddingRows> {
  std::shared_ptr<bf16> rows;
  cuda::EmbeddingRows embedding;
  std::vector<f64> values;

  Matrices(Gpu& gpu, index_t seed, index_t, index_t K, index_t N) {
    const index_t pitch = (K + 7) / 8 * 8;
    const auto wanted = numbers<bf16>(seed, K * N);
    std::vector<bf16> padded(static_cast<std::size_t>(N * pitch), bf16(0.0f));
    for (index_t n = 0; n < N; ++n)
      for (index_t k = 0; k < K; ++k)
        padded[static_cast<std::size_t>(n * pitch + k)] = wanted[static_cast<std::size_t>(k * N + n)];
    for (const bf16 v : wanted) values.push_back(static_cast<f64>(f32(v)));
    rows = upload(gpu, padded);
    embedding = {nullptr, rows.get(), N, K, pitch};
  }
  const cuda::EmbeddingRows& view() const { return embedding; }
};

/// x [rows, K] · matrix m, and the sum of the magnitudes.
struct Truth {
  std::vector<f64> y, size;
};
template <class X>
Truth truth(const X* x, index_t ldx, index_t rows, const std::vector<f64>& w, index_t m, index_t K, index_t N) {
  Truth t;
  for (index_t r = 0; r < rows; ++r)
    for (index_t n = 0; n < N; ++n) {
      f64 sum = 0, size = 1e-30;
      for (index_t k = 0; k < K; ++k) {
        const f64 p = static_cast<f64>(f32(x[r * ldx + k])) * w[static_cast<std::size_t>((m * K + k) * N + n)];
        sum += p, size += std::abs(p);
      }
      t.y.push_back(sum), t.size.push_back(size);
    }
  return t;
}
/// The largest error as a part of the magnitudes that were summed. A bf16 result may be half a unit of its own off.
template <class Y>
f64 worst(const std::vector<Y>& y, const Truth& t) {
  f64 worst = 0;
  for (std::size_t i = 0; i < t.y.size(); ++i) {
    const f64 rounding = std::is_same_v<Y, bf16> ? std::abs(t.y[i]) / 256 : 0;
    const f64 error = std::abs(static_cast<f64>(f32(y[i])) - t.y[i]) - rounding;
    if (!(error <= worst * t.size[i])) worst = error / t.size[i];
  }
  return worst;
}

constexpr f64 exact = 2e-6, two_terms = 1.0 / (1 << 16), one_term = 1.0 / (1 << 8);

/// One matrix, y between rows that nobody may touch.
template <class X, class W, class Y, class... Groups>
f64 error_of(Gpu& gpu, index_t rows, index_t K, index_t N, cuda::Terms terms, Groups... groups) {
  const Matrices<W> w(gpu, 7, 1, K, N, groups...);
  const auto x = numbers<X>(3, rows * K);
  const auto on_gpu = upload(gpu, x);
  const auto y = upload(gpu, std::vector<Y>(static_cast<std::size_t>((rows + 2) * N), Y(-77.0f)));
  cuda::Product<X, W, Y> p;
  p.x = on_gpu.get(), p.ldx = K, p.w = w.view(), p.y = y.get() + N, p.ldy = N, p.rows = rows, p.terms = terms;
  cuda::stream_product(gpu, p);
  auto found = download(gpu, y, (rows + 2) * N);
  for (index_t n = 0; n < N; ++n) {
    CHECK(f32(found[static_cast<std::size_t>(n)]) == -77);
    CHECK(f32(found[static_cast<std::size_t>((rows + 1) * N + n)]) == -77);
  }
  found.erase(found.begin(), found.begin() + N);
  return worst(found, truth(x.data(), K, rows, w.values, 0, K, N));
}

template <class X, class W, class Y, class... Groups>
void check_extents(Groups... groups) {
  Gpu gpu(0);
  constexpr bool f32_weights = std::is_same_v<W, cuda::Weights<f32>>;
  const f64 limit = f32_weights || std::is_same_v<X, bf16> ? exact : two_terms;
  const std::vector<std::array<index_t, 3>> extents{{1, 64, 32}, {1, 1, 1},     {2, 33, 7},   {3, 7, 130}, {8, 96, 40},
                                                    {9, 70, 33}, {1, 520, 300}, {17, 40, 65}, {33, 36, 24}};
  for (const auto [rows, K, N] : extents) {
    CAPTURE(rows);
    CAPTURE(K);
    CAPTURE(N);
    CHECK(error_of<X, W, Y>(gpu, rows, K, N, cuda::Terms::two, groups...) <= limit);
  }
}

TEST_CASE("few rows by f32 weights are multiplied in f32") {
  check_extents<f32, cuda::Weights<f32>, f32>();
  check_extents<bf16, cuda::Weights<f32>, bf16>();
}
TEST_CASE("few rows by bf16 weights") {
  check_extents<f32, cuda::Weights<bf16>, f32>();
  check_extents<bf16, cuda::Weights<bf16>, bf16>();
}
TEST_CASE("few rows by int8 weights, a scale a column") {
  check_extents<f32, cuda::Weights<std::int8_t>, f32>();
  check_extents<bf16, cuda::Weights<std::int8_t>, f32>();
}
TEST_CASE("few rows by int8 weights with groups of scales, whose edges fall on any row") {
  for (const index_t group_rows : {1, 6, 12, 32, 50}) {
    CAPTURE(group_rows);
    check_extents<f32, cuda::Weights<std::int8_t>, f32>(group_rows, group_rows / 3);
  }
}
TEST_CASE("few rows by the rows of an embedding") {
  check_extents<f32, cuda::EmbeddingRows, f32>();
  check_extents<bf16, cuda::EmbeddingRows, f32>();
}

TEST_CASE("one term is a rounding of x, and two are 200 times as exact") {
  Gpu gpu(0);
  using W = cuda::Weights<std::int8_t>;
  const f64 one = error_of<f32, W, f32>(gpu, 2, 64, 40, cuda::Terms::one),
            two = error_of<f32, W, f32>(gpu, 2, 64, 40, cuda::Terms::two);
  CHECK(one <= one_term);
  CHECK(one > 20 * two);
}

TEST_CASE("nothing to sum is zero, no rows are nothing to do") {
  Gpu gpu(0);
  CHECK(error_of<f32, cuda::Weights<bf16>, f32>(gpu, 3, 0, 20, cuda::Terms::two) == 0);
  CHECK(error_of<f32, cuda::Weights<bf16>, f32>(gpu, 0, 16, 20, cuda::Terms::two) == 0);
}

TEST_CASE("every head by its own matrix, side by side") {
  Gpu gpu(0);
  const index_t heads = 3, rows = 5;
  for (const index_t K : {8, 6}) {
    const index_t N = 10;
    const Matrices<cuda::Weights<bf16>> w(gpu, 5, heads, K, N);
    const auto x = numbers<f32>(2, rows * heads * K);
    const auto on_gpu = upload(gpu, x);
    const auto y = gpu.scratch<f32>(rows * heads * N);
    cuda::Product<f32, cuda::Weights<bf16>, f32> p;
    p.x = on_gpu.get(), p.ldx = heads * K, p.x_step = K, p.w = w.view();
    p.y = y.get(), p.ldy = heads * N, p.y_step = N, p.rows = rows;
    cuda::stream_product(gpu, p);
    const auto found = download(gpu, y, rows * heads * N);
    for (index_t h = 0; h < heads; ++h) {
      std::vector<f32> of_head;
      for (index_t i = 0; i < rows * N; ++i)
        of_head.push_back(found[static_cast<std::size_t>((i / N * heads + h) * N + i % N)]);
      CHECK(worst(of_head, truth(x.data() + h * K, heads * K, rows, w.values, h, K, N)) <= two_terms);
    }
  }
}

using Offsets = std::vector<i32>;

/// Rows by the matrices of their experts; rows behind the last are not read, nor written.
template <class W, class F>
void for_experts(const Offsets& offsets, index_t room, F check) {
  Gpu gpu(0);
  const auto experts = static_cast<index_t>(offsets.size()) - 1, K = index_t{40}, N = index_t{50};
  const Matrices<W> w(gpu, 5, experts, K, N), up(gpu, 6, experts, K, N);
  auto x = numbers<f32>(2, room * K);
  for (index_t i = offsets.back() * K; i < room * K; ++i)
    x[static_cast<std::size_t>(i)] = std::numeric_limits<f32>::quiet_NaN();
  const auto on_gpu = upload(gpu, x);
  const auto at = upload(gpu, offsets);
  const auto y = upload(gpu, std::vector<f32>(static_cast<std::size_t>(room * N), -77.0f));
  cuda::Product<f32, W, f32> p;
  p.x = on_gpu.get(), p.ldx = K, p.w = w.view(), p.y = y.get(), p.ldy = N, p.rows = room, p.offsets = at.get();
  std::vector<Truth> of_gate, of_up;
  for (index_t e = 0; e < experts; ++e) {
    const index_t first = offsets[static_cast<std::size_t>(e)], rows = offsets[static_cast<std::size_t>(e) + 1] - first;
    of_gate.push_back(truth(x.data() + first * K, K, rows, w.values, e, K, N));
    of_up.push_back(truth(x.data() + first * K, K, rows, up.values, e, K, N));
  }
  check(gpu, p, up.view(), of_gate, of_up);
}
/// The rows of all experts one after the other.
Truth joined(const std::vector<Truth>& parts) {
  Truth all;
  for (const Truth& t : parts) {
    all.y.insert(all.y.end(), t.y.begin(), t.y.end());
    all.size.insert(all.size.end(), t.size.begin(), t.size.end());
  }
  return all;
}
/// Few and many experts, with none, one and more rows than are multiplied together.
std::vector<Offsets> routings() {
  Offsets many{0};
  for (int e = 0; e < 40; ++e) many.push_back(many.back() + (e % 7 == 3) + (e == 35 ? 20 : 0));
  return {{0, 0, 2, 3, 3}, {0, 12, 12, 13}, {0, 0, 0}, {0, 1, 40}, many};
}

template <class W>
void check_experts() {
  for (const Offsets& offsets : routings())
    for (const index_t spare : {0, 3}) {
      const index_t room = offsets.back() + spare;
      for_experts<W>(offsets, room, [&](Gpu& gpu, const auto& p, const W&, const auto& rows, const auto&) {
        cuda::stream_product(gpu, p);
        std::vector<f32> found(static_cast<std::size_t>(room * p.ldy));
        gpu.download(found.data(), p.y, room * p.ldy * 4);
        CHECK(worst(found, joined(rows)) <= two_terms);
        for (index_t i = offsets.back() * p.ldy; i < room * p.ldy; ++i)
          CHECK(found[static_cast<std::size_t>(i)] == -77);
      });
    }
}
TEST_CASE("rows grouped by expert") {
  check_experts<cuda::Weights<std::int8_t>>();
  check_experts<cuda::Weights<bf16>>();
  check_experts<cuda::Weights<f32>>();
}

/// A function of two products that tells them apart.
struct GateUp {
  __device__ f32 operator()(f32 g, f32 u) const { return g * (1 + 0.5f * u); }
};

TEST_CASE("gate and up in one kernel") {
  using W = cuda::Weights<std::int8_t>;
  for (const Offsets& offsets : routings())
    for_experts<W>(offsets, offsets.back() + 2,
                   [&](Gpu& gpu, const auto& p, const W& up, const auto& g, const auto& u) {
                     cuda::stream_gated_product(gpu, p, up, GateUp{});
                     const index_t room = offsets.back() + 2;
                     std::vector<f32> found(static_cast<std::size_t>(room * p.ldy));
                     gpu.download(found.data(), p.y, room * p.ldy * 4);
                     Truth gated = joined(g);
                     const Truth of_up = joined(u);
                     for (std::size_t i = 0; i < gated.y.size(); ++i) {
                       gated.y[i] *= 1 + 0.5 * of_up.y[i];
                       gated.size[i] *= 1 + of_up.size[i];
                     }
                     CHECK(worst(found, gated) <= 2 * two_terms);
                     for (index_t i = offsets.back() * p.ldy; i < room * p.ldy; ++i)
                       CHECK(found[static_cast<std::size_t>(i)] == -77);
                   });
}

TEST_CASE("down and the weighted sum of each token's choices in one kernel") {
  using W = cuda::Weights<std::int8_t>;
  for (const Offsets& offsets : routings())
    for_experts<W>(offsets, offsets.back() + 2, [&](Gpu& gpu, const auto& p, const W&, const auto& rows, const auto&) {
      const index_t choices = 2, tokens = (offsets.back() + 1) / 2 + 1, N = p.ldy;
      std::vector<i32> positions(static_cast<std::size_t>(tokens * choices), -1);
      for (i32 i = 0; i < offsets.back(); ++i) positions[static_cast<std::size_t>(offsets.back() - i)] = i;
      const auto shares = numbers<f32>(9, tokens * choices);
      const auto position = upload(gpu, positions);
      const auto share = upload(gpu, shares);
      const auto y = upload(gpu, std::vector<f32>(static_cast<std::size_t>(tokens * N), -77.0f));
      cuda::stream_combined_product(gpu, p, y.get(), {position.get(), share.get(), tokens, choices});
      const Truth of_rows = joined(rows);
      Truth sums;
      for (index_t i = 0; i < tokens * N; ++i) {
        f64 sum = 0, size = 1e-30;
        for (index_t j = 0; j < choices; ++j) {
          const i32 row = positions[static_cast<std::size_t>(i / N * choices + j)];
          if (row < 0) continue;
          const auto at = static_cast<std::size_t>(row * N + i % N);
          const f64 part = static_cast<f64>(shares[static_cast<std::size_t>(i / N * choices + j)]);
          sum += part * of_rows.y[at], size += std::abs(part) * of_rows.size[at];
        }
        sums.y.push_back(sum), sums.size.push_back(size);
      }
      CHECK(worst(download(gpu, y, tokens * N), sums) <= two_terms);
    });
}

TEST_CASE("every unit of work has one block, whatever their numbers") {
  for (const int steps : {1, 3, 192})
    for (const int tiles : {1, 5, 64})
      for (const int blocks : {1, 2, 7, 264}) {
        const int total = steps * tiles;
        const cuda::stream::Share share(steps, total, std::min(blocks, total));
        CHECK(share.begin(0) == 0);
        CHECK(share.begin(share.blocks()) == total);
        for (int b = 0; b < share.blocks(); ++b) {
          CHECK(share.begin(b) < share.begin(b + 1));
          CHECK(share.begin(b + 1) - share.begin(b) <= total / share.blocks() + 1);
          for (int u = share.begin(b); u < share.begin(b + 1); ++u) CHECK(share.block_of(u) == b);
        }
      }
}

TEST_CASE("counters are zero again, and the sums are the same bits each time") {
  Gpu gpu(0);
  using W = cuda::Weights<bf16>;
  const index_t K = 600, N = 70;
  const Matrices<W> w(gpu, 7, 1, K, N);
  const auto x = upload(gpu, numbers<f32>(3, K));
  std::vector<f32> first;
  for (int i = 0; i < 3; ++i) {
    const auto y = gpu.scratch<f32>(N);
    cuda::Product<f32, W, f32> p;
    p.x = x.get(), p.ldx = K, p.w = w.view(), p.y = y.get(), p.ldy = N, p.rows = 1;
    cuda::stream_product(gpu, p);
    const auto found = download(gpu, y, N);
    if (i == 0) first = found;
    CHECK(found == first);
    std::vector<std::uint32_t> counters(Gpu::counter_count);
    gpu.download(counters.data(), gpu.counters(), Gpu::counter_count * 4);
    CHECK(counters == std::vector<std::uint32_t>(Gpu::counter_count));
  }
}

}  // namespace
