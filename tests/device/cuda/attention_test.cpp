// Attention on a GPU: rotary, cache and softmax over ragged rows give Host's numbers, in every tile and on any mesh.
// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <tess/device/cuda/attention_verbs.hpp>
#include <tess/device/cuda/upload.hpp>
#include <tess/ops/attention.hpp>
#include <tess/ops/elementwise.hpp>

#include "support/both_devices.hpp"

using namespace support;

namespace {

struct data;
struct model;
template <index_t D, index_t N>
using Grid = Mesh<Axis<data, D>, Axis<model, N>>;

struct Gpus : cuda::Base, cuda::AttentionVerbs<Gpus> {
  using Base::Base;
};

/// What is attended: B rows of T queries of HQ heads over a cache [S, C, HK], heads of width W and values of width WV.
struct Sizes {
  index_t T, HQ, HK, W, WV, slots, capacity;
  std::vector<Segment> rows;
  Segments segments() const { return {rows.data(), static_cast<index_t>(rows.size())}; }
  index_t batch() const { return static_cast<index_t>(rows.size()); }
};

using Any = Shape<dyn, dyn, dyn, dyn>;
Extents<Any> extents(index_t a, index_t b, index_t c, index_t d) { return Extents<Any>::from({a, b, c, d}); }

/// Host and GPU attend alike, where queries are Q, the cache C and the result Y.
template <class Y, class Q, class C, class M = Grid<1, 1>, class Spec = P<>, class CacheSpec = Spec,
          class HeadSpec = P<>, class S = Any, class VS = S>
void attends(const Sizes& s, AttentionOptions options, f64 tolerance, index_t columns = 0, bool sinks = false,
             cuda::Terms terms = cuda::Terms::two) {
  CAPTURE(s.T);
  CAPTURE(s.HQ);
  CAPTURE(s.W);
  CAPTURE(s.WV);
  CAPTURE(options.window);
  Gpus gpus{cuda::Options{}};
  gpus.terms = terms;
  BothDevices both(gpus);
  const auto q =
      both.template random<ShardedTensor<Q, S, M, Spec, Host>>(1, Extents<S>::from({s.batch(), s.T, s.HQ, s.W}), 3);
  using Cache = ShardedTensor<C, S, M, CacheSpec, Host>;
  const auto k = both.template random<Cache>(2, Extents<S>::from({s.slots, s.capacity, s.HK, s.W}), 2);
  const auto v = both.template random<ShardedTensor<C, VS, M, CacheSpec, Host>>(
      3, Extents<VS>::from({s.slots, s.capacity, s.HK, s.WV}));
  const auto sink =
      both.template random<ShardedTensor<f32, Shape<dyn>, M, HeadSpec, Host>>(4, Extents<Shape<dyn>>(s.HQ), 4);
  const auto attend = [&](auto& dev, const auto& queries, const auto& keys, const auto& values, const auto& beside) {
    if (columns > 0) {
      const KeyColumns<dyn> of_keys{columns};
      return sinks ? attention<Y>(dev, queries, keys, of_keys, s.segments(), options, beside)
                   : attention<Y>(dev, queries, keys, of_keys, s.segments(), options);
    }
    if constexpr (std::is_same_v<S, Any>)
      if (sinks) return attention<Y>(dev, queries, keys, values, s.segments(), options, beside);
    return attention<Y>(dev, queries, keys, values, s.segments(), options);
  };
  if constexpr (std::is_same_v<S, Any>) both.check(tolerance, attend, q, k, v, sink);
  else
    both.check(
        tolerance,
        [&](auto& dev, const auto& queries, const auto& keys, const auto& values) {
          return attention<Y>(dev, queries, keys, values, s.segments(), options);
        },
        q, k, v);
}

/// One token a row; several parts of the cache; a row without a token.
Sizes decode(index_t HQ, index_t HK, index_t W, index_t WV) {
  return {1, HQ, HK, W, WV, 3, 600, {{2, 511, 1}, {0, 0, 1}, {1, 300, 0}}};
}
/// Prompts of different lengths, one of them behind tokens that are there already.
Sizes prompt(index_t HQ, index_t HK, index_t W, index_t WV) {
  return {45, HQ, HK, W, WV, 2, 120, {{1, 0, 45}, {0, 70, 37}}};
}

}  // namespace

TEST_CASE("cuda.attention.decoding_in_parts_of_the_cache") {
  for (const index_t W : {64, 40, 128, 256}) {
    attends<f32, f32, bf16>(decode(6, 1, W, W), {0.25f, 0}, 2e-5);
    attends<f32, f32, bf16>(decode(4, 2, W, W), {0.25f, 2, 70}, 2e-5, 0, true);
  }
}
TEST_CASE("cuda.attention.prompts_on_tensor_cores") {
  for (const index_t W : {64, 128, 200}) {
    attends<f32, f32, bf16>(prompt(6, 2, W, W), {0.25f, 2}, 2e-5);
    attends<f32, f32, bf16>(prompt(3, 3, W, 64), {0.25f, 0, 20}, 2e-5, 0, true);
  }
}
TEST_CASE("cuda.attention.one_term_rounds_queries_and_weights_as_the_reference_does") {
  for (const index_t W : {48, 104, 128, 200}) {  // 104 and 128: on Hopper's tensor cores
    const auto of = cuda::Terms::one;
    attends<f32, f32, bf16>(prompt(6, 2, W, W), {0.09f, 2}, 8e-3, 0, false, of);
    attends<f32, f32, bf16>(prompt(3, 3, W, W - 8), {0.09f, 0, 20}, 8e-3, 0, true, of);
    attends<bf16, bf16, bf16>(prompt(6, 2, W, 40), {0.09f, 2}, 8e-3, 0, false, of);
    attends<f32, f32, bf16>(prompt(6, 2, W, 8), {0.09f, 0}, 8e-3, W - 8, false, of);
  }
  attends<f32, f32, bf16>({130, 2, 1, 128, 128, 1, 1100, {{0, 970, 129}}}, {0.09f, 30}, 8e-3, 0, false,
                          cuda::Terms::one);
}
TEST_CASE("cuda.attention.bf16_in_and_out") {
  attends<bf16, bf16, bf16>(decode(6, 2, 128, 128), {0.25f, 2}, 4e-3);
  attends<bf16, bf16, bf16>(prompt(6, 2, 64, 64), {0.25f, 2}, 4e-3);
}
TEST_CASE("cuda.attention.f32_caches_and_odd_widths_are_exact") {
  for (const auto& [W, WV] : {std::pair<index_t, index_t>{7, 7}, {15, 33}, {128, 300}, {300, 520}}) {
    const f32 scale = W > 100 ? 0.06f : 0.25f;
    attends<f32, f32, f32>(decode(12, 2, W, WV), {scale, 2}, 2e-6);
    attends<f32, f32, f32>(prompt(3, 1, W, WV), {scale, 0, 20}, 2e-6, 0, true);
    attends<f32, f32, bf16>(decode(3, 3, W, WV), {scale, 0}, 2e-6);
  }
}
TEST_CASE("cuda.attention.values_that_are_columns_of_the_keys") {
  attends<f32, f32, bf16>(decode(16, 1, 576, 8), {0.05f, 0}, 2e-5, 512);
  attends<f32, f32, bf16>(prompt(4, 1, 576, 8), {0.05f, 0}, 2e-5, 512);
  attends<f32, f32, bf16>(decode(40, 1, 24, 8), {0.25f, 0}, 2e-5, 16);
  attends<f32, f32, bf16>(prompt(4, 2, 104, 8), {0.25f, 0, 9}, 2e-5, 65, true);
  attends<f32, f32, f32>(prompt(4, 1, 24, 8), {0.25f, 0}, 2e-6, 16);
}
#ifdef TESS_EMULATED_ISA
TEST_CASE("cuda.attention.where_a_block_has_little_shared_memory") {
  emulation::set_devices(1, 86);  // 99 KB: RTX, L4, L40S
  for (const index_t W : {128, 256}) {
    attends<f32, f32, bf16>(decode(6, 2, W, W), {0.09f, 2}, 2e-5);
    attends<f32, f32, bf16>(prompt(6, 2, W, W), {0.09f, 2}, 2e-5);
  }
  attends<f32, f32, bf16>(decode(16, 1, 576, 8), {0.05f, 0}, 2e-5, 512);
  emulation::set_devices(1);
}
#endif
TEST_CASE("cuda.attention.on_any_mesh_no_byte_moves") {
  const Sizes s{5, 8, 4, 16, 16, 4, 150, {{1, 0, 5}, {0, 140, 3}, {3, 62, 4}, {2, 4, 0}}};
  const AttentionOptions options{0.25f, 2, 100};
  attends<f32, f32, bf16, Grid<2, 2>, P<data, None, model>, P<data, None, model>, P<model>>(s, options, 2e-5, 0, true);
  attends<f32, f32, bf16, Grid<2, 4>, P<data, None, model>, P<data>, P<model>>(s, options, 2e-5);
  using Paired = Mesh<Axis<data, 1>, Axis<model, 4, 2>>;
  attends<f32, f32, f32, Paired, P<None, None, model>, P<None, None, Sub<model, 1, 4>>, P<model>>(s, options, 2e-6, 0,
                                                                                                  true);
  attends<f32, f32, bf16, Grid<1, 8>, P<None, None, model>, P<>, P<model>>(s, options, 2e-5, 11);
}
TEST_CASE("cuda.attention.with_sizes_of_the_type") {
  using S = Shape<dyn, dyn, dyn, 128>;
  attends<f32, f32, bf16, Grid<1, 1>, P<>, P<>, P<>, S>(decode(6, 1, 128, 128), {0.1f, 30}, 2e-5);
  attends<f32, f32, bf16, Grid<1, 1>, P<>, P<>, P<>, S, Shape<dyn, dyn, dyn, 65>>(decode(6, 1, 128, 65), {0.1f, 30},
                                                                                  2e-6);
}
TEST_CASE("cuda.attention.more_heads_or_tiles_than_a_grid_has_in_its_second_dimension") {
  std::vector<Segment> rows(8193, Segment{0, 0, 0});
  rows[8192].count = 1;
  attends<f32, f32, f32>({1, 8, 8, 1, 1, 1, 1, rows}, {1, 0}, 2e-6);
}
TEST_CASE("cuda.attention.nothing_to_do") {
  attends<f32, f32, bf16>({1, 2, 1, 64, 64, 1, 4, {}}, {1, 0}, 0);
  attends<f32, f32, bf16>({3, 2, 1, 64, 64, 1, 4, {{0, 0, 0}}}, {1, 0}, 0);
}

TEST_CASE("cuda.rotary.turns_as_on_the_host") {
  Gpus gpus{cuda::Options{}};
  BothDevices both(gpus);
  const Segment rows[] = {{1, 0, 5}, {0, 8191, 3}, {3, 1000003, 1}, {2, 4, 0}};
  const auto turns = [&](auto mesh, auto spec, index_t W, const RotaryOptions& options) {
    CAPTURE(W);
    using X = ShardedTensor<f32, Any, decltype(mesh), decltype(spec), Host>;
    const auto x = both.template random<X>(1, extents(4, 6, 2, W));
    both.check(
        3e-7, [&](auto& dev, const auto& t) { return rotary<f32>(dev, t, rows, options); }, x);
    both.check(
        4e-3, [&](auto& dev, const auto& t) { return rotary<bf16>(dev, t, rows, options); }, x);
  };
  for (const bool rounded : {false, true}) turns(Grid<1, 1>{}, P<>{}, 128, {.rounded = rounded});
  turns(Grid<2, 2>{}, P<data, None, model>{}, 10, {});
  turns(Grid<1, 3>{}, P<None, model>{}, 16, {.pairs = RotaryPairs::neighbours, .first = 3, .width = 6});
  turns(Grid<1, 1>{}, P<>{}, 64,
        {.scaling = RotaryScaling::yarn, .factor = 40, .original_positions = 4096, .magnitude = 1.3});
  using X = ShardedTensor<f32, Any, Grid<1, 1>, P<>, Host>;
  const auto wide = both.template random<X>(1, extents(4, 1, 1, 514));
  CHECK_THROWS_WITH_AS(rotary<f32>(gpus, wide.device, rows),
                       "[rotary] 514 values of a head turn, but at most 512 can on a GPU", Error);
}

TEST_CASE("cuda.cache.new_tokens_go_where_they_belong_and_nothing_else_changes") {
  Gpus gpus{cuda::Options{}};
  BothDevices both(gpus);
  const Segment rows[] = {{1, 0, 5}, {0, 7, 3}, {3, 2, 1}, {2, 4, 0}};
  const auto appends = [&](auto mesh, auto spec, auto element, index_t W) {
    using X = ShardedTensor<decltype(element), Any, decltype(mesh), decltype(spec), Host>;
    const auto cache = both.template random<X>(1, extents(4, 12, 4, W)),
               x = both.template random<X>(2, extents(4, 5, 4, W));
    both.check(
        0,
        [&](auto& dev, auto c, const auto& t) {
          append_to_cache(dev, c, t, rows);
          return c;
        },
        cache, x);
  };
  appends(Grid<1, 1>{}, P<>{}, bf16{}, 16);
  appends(Grid<2, 2>{}, P<data, None, model>{}, bf16{}, 7);
  appends(Grid<2, 1>{}, P<data>{}, f32{}, 5);
}

TEST_CASE("cuda.cache.rotary_and_the_cache_in_one_kernel") {
  Gpus gpus{cuda::Options{}};
  BothDevices both(gpus);
  const Segment rows[] = {{1, 0, 5}, {0, 7, 3}, {3, 2, 1}, {2, 4, 0}};
  const auto same = [&](auto mesh, auto spec, index_t W, const RotaryOptions& options) {
    using M = decltype(mesh);
    using X = ShardedTensor<f32, Any, M, decltype(spec), Host>;
    using C = ShardedTensor<bf16, Any, M, decltype(spec), Host>;
    const auto q = both.template random<X>(1, extents(4, 5, 8, W)), k = both.template random<X>(2, extents(4, 5, 4, W)),
               v = both.template random<X>(3, extents(4, 5, 4, W));
    auto keys = both.template random<C>(4, extents(4, 12, 4, W)),
         values = both.template random<C>(5, extents(4, 12, 4, W));
    append_to_cache(both.host, values.host, cast<bf16>(both.host, v.host), rows);
    append_to_cache(both.host, keys.host, rotary<bf16>(both.host, k.host, rows, options), rows);
    const auto turned =
        rotate_and_append<f32>(gpus, q.device, k.device, v.device, keys.device, values.device, rows, options);
    both.check_same(3e-7, turned, rotary<f32>(both.host, q.host, rows, options));
    both.check_same(4e-3, keys.device, keys.host);
    both.check_same(0, values.device, values.host);
  };
  same(Grid<1, 1>{}, P<>{}, 64, {});
  same(Grid<2, 2>{}, P<data, None, model>{}, 10, {.first = 2, .width = 6});
}

TEST_CASE("cuda.select_token.by_the_rows_or_by_any_function") {
  Gpus gpus{cuda::Options{}};
  BothDevices both(gpus);
  const Segment rows[] = {{1, 0, 5}, {0, 7, 3}, {3, 2, 1}, {2, 4, 0}};
  const auto selects = [&](auto mesh, auto spec, index_t width, auto last) {
    using X = ShardedTensor<f32, Shape<dyn, dyn, dyn>, decltype(mesh), decltype(spec), Host>;
    const auto x = both.template random<X>(1, Extents<Shape<dyn, dyn, dyn>>(4, 5, width));
    both.check(
        0, [&](auto& dev, const auto& t) { return select_token(dev, t, last); }, x);
  };
  selects(Grid<1, 1>{}, P<>{}, 300, LastToken{rows});
  selects(Grid<2, 2>{}, P<data, None, model>{}, 6, LastToken{rows});
  selects(Grid<2, 1>{}, P<data>{}, 3, [](index_t b) { return 4 - b; });
}
