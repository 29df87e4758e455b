// Rows on the GPU: root mean squares alone, fused and with the residual stream, and embedding rows, against Host.
// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <tess/device/cuda/exchange_verbs.hpp>
#include <tess/device/cuda/row_verbs.hpp>
#include <tess/device/cuda/upload.hpp>
#include <tess/ops/rms_norm.hpp>
#include <tess/ops/take.hpp>

#include "support/both_devices.hpp"

using namespace support;

namespace {

struct Gpus : cuda::Base, cuda::RowVerbs<Gpus>, cuda::ExchangeVerbs<Gpus> {
  using Base::Base;
};

struct model;
using One = Mesh<Axis<model, 1>>;
using Two = Mesh<Axis<model, 2>>;

template <class T, class M, class Spec>
using Stream = ShardedTensor<T, Shape<dyn, dyn, dyn>, M, Spec, Host>;
template <class M, class Spec>
using Scale = ShardedTensor<f32, Shape<dyn>, M, Spec, Host>;
using Sizes = Extents<Shape<dyn, dyn, dyn>>;

constexpr f64 rounded_to_bf16 = 1.0 / 256, f32_sums = 2e-6;

template <class X, class Y>
void norm_of(index_t rows, index_t width) {
  CAPTURE(rows);
  CAPTURE(width);
  Gpus device{cuda::Options{}};
  BothDevices both(device);
  const auto x = both.template random<Stream<X, One, P<>>>(1, Sizes(1, rows, width), 3);
  const auto scale = both.template random<Scale<One, P<>>>(2, Extents<Shape<dyn>>{width});
  both.check(
      std::is_same_v<Y, bf16> ? rounded_to_bf16 : f32_sums,
      [](auto& dev, const auto& of, const auto& s) { return rms_norm<Y>(dev, of, s, 1e-5f); }, x, scale);
}

/// A row over two devices: its sum is finished on the way.
template <class Spec>
void spread_norm(index_t rows, index_t width) {
  Gpus device{cuda::Options{}};
  BothDevices both(device);
  const auto x = both.template random<Stream<f32, Two, Spec>>(1, Sizes(2, rows, width));
  const auto scale = both.template random<Scale<Two, P<>>>(2, Extents<Shape<dyn>>{width});
  both.check(
      f32_sums, [](auto& dev, const auto& of, const auto& s) { return rms_norm_sharded<f32>(dev, of, s, 1e-5f); }, x,
      scale);
}

template <class T, class A, class Y>
void added_norms_of(index_t rows, index_t width) {
  CAPTURE(width);
  Gpus device{cuda::Options{}};
  BothDevices both(device);
  const auto h = both.template random<Stream<T, One, P<>>>(1, Sizes(1, rows, width));
  const auto a = both.template random<Stream<A, One, P<>>>(2, Sizes(1, rows, width), 5);
  const auto scale = both.template random<Scale<One, P<>>>(3, Extents<Shape<dyn>>{width}),
             next = both.template random<Scale<One, P<>>>(4, Extents<Shape<dyn>>{width});
  const f64 tolerance = std::is_same_v<T, bf16>   ? 2 * rounded_to_bf16  // the norm is not rounded on the way
                        : std::is_same_v<Y, bf16> ? rounded_to_bf16
                                                  : f32_sums;
  both.check(
      tolerance,
      [](auto& dev, const auto& to, const auto& of, const auto& s) { return add_rms_norm(dev, to, of, s, 1e-5f); }, h,
      a, scale);
  const auto norms = [](auto& dev, const auto& to, const auto& of, const auto& s, const auto& t) {
    return add_rms_norms<Y>(dev, to, of, s, t, 1e-5f, 1e-3f);
  };
  const auto found = norms(device, h.device, a.device, scale.device, next.device);
  const auto truth = norms(both.host, h.host, a.host, scale.host, next.host);
  both.check_same(tolerance, found.sum, truth.sum);
  both.check_same(tolerance, found.normed, truth.normed);
}

template <class M, class TableSpec, class IdSpec>
void ofof_a_table(index_t vocabulary, index_t width, std::vector<i32> ids) {
  Gpus device{cuda::Options{}};
  BothDevices both(device);
  using Table = ShardedTensor<table<bf16>, Shape<dyn, dyn>, M, TableSpec, Host>;
  using Ids = ShardedTensor<i32, Shape<dyn, dyn>, M, IdSpec, Host>;
  const auto rows = both.template weight<Table>(5, {vocabulary, width});
  const auto id = both.template tensor<Ids>(Extents<Shape<dyn, dyn>>(2, static_cast<index_t>(ids.size()) / 2), ids);
  both.check(
      0, [](auto& dev, const auto& t, const auto& i) { return take(dev, t, i); }, rows, id);
}

}  // namespace

TEST_CASE("the norm of whole rows, of every width: fours, single elements, more than a block holds, none") {
  for (const index_t width : {1, 3, 4, 31, 64, 127, 1000, 6144, 6148, 13000}) norm_of<f32, f32>(2, width);
  norm_of<bf16, f32>(3, 96);
  norm_of<bf16, f32>(3, 97);
  norm_of<f32, bf16>(3, 96);
  norm_of<bf16, bf16>(1, 33);
  norm_of<f32, f32>(0, 8);
}

TEST_CASE("rows over two devices sum their squares over the mesh, or are whole and then sliced") {
  for (const index_t width : {2, 64, 130}) {
    spread_norm<P<None, None, model>>(3, width);
    spread_norm<P<model>>(3, width);
  }
}

TEST_CASE("the residual stream plus a norm, and the norm of that, in one pass as one after the other") {
  for (const index_t width : {1, 5, 96, 6144, 7001}) added_norms_of<f32, f32, f32>(2, width);
  added_norms_of<f32, bf16, f32>(2, 96);
  added_norms_of<f32, f32, bf16>(2, 97);
  added_norms_of<bf16, f32, bf16>(2, 96);
}

TEST_CASE("rows of an embedding, of whole and sharded tables; other shards' rows are zeros") {
  const std::vector<i32> ids = {0, 5, 11, 11, 3, 6};
  ofof_a_table<One, P<>, P<>>(12, 16, ids);
  ofof_a_table<One, P<>, P<>>(12, 7, ids);
  ofof_a_table<Two, P<model>, P<>>(12, 16, ids);
  ofof_a_table<Two, P<None, model>, P<>>(12, 18, ids);
  ofof_a_table<Two, P<>, P<None, model>>(12, 5, {0, 5, 11, 11, 3, 6, 7, 1});
}

TEST_CASE("rows of an embedding that the checkpoint has in bf16, with a pitch") {
  for (const auto& [width, pitch] : {std::pair<index_t, index_t>{8, 8}, {5, 8}, {4, 6}}) {
    Gpus device{cuda::Options{}};
    cuda::Gpu& gpu = device.gpu(0);
    std::vector<bf16> rows(static_cast<std::size_t>(9 * pitch));
    for (std::size_t i = 0; i < rows.size(); ++i) rows[i] = bf16(static_cast<f32>(i));
    const std::vector<i32> ids = {7, 10, 0, 4};
    const auto table = gpu.scratch<bf16>(9 * pitch);
    const auto id = gpu.scratch<i32>(4);
    const auto y = gpu.scratch<f32>(4 * width);
    gpu.upload(table.get(), rows.data(), 9 * pitch * 2);
    gpu.upload(id.get(), ids.data(), 4 * 4);
    cuda::take_rows(gpu, y.get(), static_cast<const bf16*>(table.get()), {2, 9, 11, width, pitch}, id.get(), 4);
    std::vector<f32> found(static_cast<std::size_t>(4 * width)), truth;
    gpu.download(found.data(), y.get(), 4 * width * 4);
    for (const i32 i : ids)
      for (index_t c = 0; c < width; ++c) truth.push_back(i < 2 ? 0.0f : static_cast<f32>((i - 2) * pitch + c));
    CHECK(found == truth);
  }
}

TEST_CASE("an id outside the table is an error when the host next waits, and only then") {
  Gpus device{cuda::Options{}};
  BothDevices both(device);
  using Table = ShardedTensor<table<bf16>, Shape<dyn, dyn>, One, P<>, Host>;
  const auto rows = both.template weight<Table>(5, {12, 8});
  for (const i32 id : {-1, 12, 1 << 30}) {
    const auto ids = both.template tensor<ShardedTensor<i32, Shape<dyn>, One, P<>, Host>>(Extents<Shape<dyn>>{2},
                                                                                          std::vector<i32>{3, id});
    (void)take(device, rows.device, ids.device);
    CHECK_THROWS_WITH_AS(device.wait(), doctest::Contains("is outside the table of 12 rows"), Error);
    CHECK_NOTHROW(device.wait());
  }
}
