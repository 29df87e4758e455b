// Tensors and parameters on GPUs: what comes back is what went there, whatever the mesh, through blocks of few bytes.
// SPDX-License-Identifier: Apache-2.0
#include <tess/device/cuda/upload.hpp>

#include "support/both_devices.hpp"
#include "support/gpus.hpp"

namespace {
using namespace support;

struct data;
struct model;
using One = Mesh<Axis<data, 1>, Axis<model, 1>>;
using Grid = Mesh<Axis<data, 2>, Axis<model, 2>>;

struct Device : cuda::Base {
  using Base::Base;
};
template <class T, class S, class M, class Spec>
using On = ShardedTensor<T, S, M, Spec, Device>;

/// A block of pinned memory holds so few bytes that a small matrix takes many, and its rows fill none exactly.
cuda::Options few_bytes(index_t bytes = 200) {
  cuda::Options o;
  o.threads = 2, o.staging_bytes = bytes;
  return o;
}

/// 127 is the largest number of each column of a group of 8 rows: int8 hold all of them exactly.
constexpr auto numbers = [](index_t i, index_t j) { return i % 8 == 3 ? 127 : (7 * i + j) % 97 - 40; };

template <class X>
bool round_trips(Device& dev) {
  X x;
  io::fill(dev, x, numbers);
  const auto all = io::to_vector(dev, x);
  bool equal = static_cast<index_t>(all.size()) == x.extents().size();
  for (index_t i = 0; i < x.extent(0); ++i)
    for (index_t j = 0; j < x.extent(1); ++j)
      equal = equal &&
              static_cast<f32>(all[static_cast<std::size_t>(i * x.extent(1) + j)]) == static_cast<f32>(numbers(i, j));
  return equal;
}
template <class S, class M>
void check_round_trips(Device& dev) {
  CHECK(round_trips<On<f32, S, M, P<data, model>>>(dev));
  CHECK(round_trips<On<f32, S, M, P<>>>(dev));
  CHECK(round_trips<On<f32, S, M, P<None, Axes<model, data>>>>(dev));
  CHECK(round_trips<On<f32, S, M, P<data, None, Partial<model>>>>(dev));
  CHECK(round_trips<On<bf16, S, M, P<data, model>>>(dev));
  CHECK(round_trips<On<i32, S, M, P<model>>>(dev));
  CHECK(round_trips<On<packed<f32>, S, M, P<data, model>>>(dev));
  CHECK(round_trips<On<packed<bf16>, S, M, P<model, data>>>(dev));
  CHECK(round_trips<On<packed<bf16>, S, M, P<None, model>>>(dev));
  CHECK(round_trips<On<packed<q8<2>>, S, M, P<None, model>>>(dev));
  CHECK(round_trips<On<packed<q8<2>>, S, M, P<Axes<data, model>>>>(dev));  // shards of half a group
}

TEST_CASE("what is filled on GPUs is read from them, under every spec") {
  for (const index_t bytes : {1, 200, 1 << 20}) {
    Device dev(few_bytes(bytes));
    check_round_trips<Shape<16, 12>, One>(dev);
    check_round_trips<Shape<16, 12>, Grid>(dev);
    check_round_trips<Shape<16, 100>, Grid>(dev);
  }
}

TEST_CASE("a weight lies in rows of 16 bytes with zeros between them, and its scales beside it") {
  Device dev(few_bytes());
  BothDevices both(dev);
  using W = ShardedTensor<packed<q8<dyn>>, Shape<3, 24, 10>, Grid, P<None, data, model>, Host>;
  const auto w = both.weight<W>(1, {3, 24, 10}, 3);
  for (index_t r = 0; r < 4; ++r) {
    const auto owned = download_weights(dev, w.device.storage(), r, 4);
    const auto& v = owned.view;
    CHECK(v.count == 3);
    CHECK(v.rows == 12);
    CHECK(v.columns == 5);
    CHECK(v.pitch == 16);
    CHECK(v.groups == 2);  // of 8 rows: a whole one and a half, or a half and a whole one
    CHECK(v.group_rows == 8);
    CHECK(v.first_group_offset == (r / 2) * 4);
    CHECK(v.scale_pitch == 8);
    bool equal = true, zero = true;
    for (index_t e = 0; e < 3; ++e)
      for (index_t k = 0; k < 12; ++k)
        for (index_t n = 0; n < 16; ++n) {
          const auto q = v.matrix(e)[k * v.pitch + n];
          const bf16 scale = v.scales_of(e)[v.group_of(k) * v.scale_pitch + n % 8];
          const auto& packed = w.host.storage().matrices(r)[static_cast<std::size_t>(e)];
          if (n < 5) equal = equal && static_cast<f32>(q) * scale == host::unpack(packed, k, n);
          else zero = zero && q == 0 && (n % 8 < 5 || f32(scale) == 0);
        }
    CHECK(equal);
    CHECK(zero);
  }
  CHECK(w.device.storage().scale_groups(24) == 3);
}

TEST_CASE("ranks of one GPU with equal slices share memory; those of two GPUs have it twice") {
  using W = On<packed<bf16>, Shape<8, 6>, Grid, P<None, model>>;
  const auto address = [](const W& w, index_t r) { return w.storage().weights(r).data; };
  {
    Device dev(few_bytes());
    W w;
    io::fill(dev, w, numbers);
    CHECK(address(w, 0) == address(w, 2));
    CHECK(address(w, 1) == address(w, 3));
    CHECK(address(w, 0) != address(w, 1));
  }
  if (!has_gpus(2)) return;
  cuda::Options two = few_bytes();
  two.gpus = {0, 1};
  Device dev(two);
  W w;
  io::fill(dev, w, numbers);
  CHECK(address(w, 0) != address(w, 2));
  CHECK(io::to_vector(dev, w)[7] == static_cast<f32>(numbers(1, 1)));
}

TEST_CASE("an embedding has rounded rows, and those of an f32 checkpoint as they are") {
  Device dev(few_bytes());
  BothDevices both(dev);
  using E = ShardedTensor<table<bf16>, Shape<6, 20>, Grid, P<data, model>, Host>;
  const auto embedding = both.weight<E>(3, {6, 20});
  const std::vector<f32> values = support::random(3, 120);
  CHECK(embedding.device.storage().has_exact_rows());
  for (index_t r = 0; r < 4; ++r) {
    const auto owned = download_table(dev, embedding.device.storage(), r, 4);
    CHECK(owned.view.vocabulary == 3);
    CHECK(owned.view.width == 10);
    CHECK(owned.view.pitch == 16);
    bool equal = true;
    for (index_t v = 0; v < 3; ++v)
      for (index_t d = 0; d < 10; ++d) {
        const f32 whole = values[static_cast<std::size_t>((r / 2 * 3 + v) * 20 + r % 2 * 10 + d)];
        equal =
            equal && owned.view.rows[v * 16 + d] == whole && f32(owned.view.rounded[v * 16 + d]) == f32(bf16(whole));
      }
    CHECK(equal);
  }
  const auto back = io::on_host(dev, embedding.device);
  std::vector<f32> row(10), same(10);
  back.storage().table_of(3).copy_row(2, row.data());
  embedding.host.storage().table_of(3).copy_row(2, same.data());
  CHECK(row == same);
}

TEST_CASE("pinned memory stays within its blocks") {
  Device dev(few_bytes(1000));
  On<packed<f32>, Shape<200, 30>, One, P<>> w;
  io::fill(dev, w, numbers);
  CHECK(dev.staging().bytes() <= 3 * 1000);
  CHECK(dev.staging().bytes() > 0);
}

TEST_CASE("tensors of a mesh over processes lie where their ranks live") {
  cuda::Options second = few_bytes();
  second.process = 1, second.processes = 4;
  Device dev(second);
  On<f32, Shape<4, 4>, Grid, P<data, model>> x;
  io::fill(dev, x, numbers);
  CHECK(x.storage().data(0) == nullptr);
  CHECK(x.storage().data(1) != nullptr);
  CHECK_THROWS_WITH_AS(io::to_vector(dev, x), doctest::Contains("lives in another process"), Error);
  On<packed<bf16>, Shape<4, 4>, Grid, P<>> w;
  io::fill(dev, w, numbers);
  CHECK(w.storage().has(1));
  CHECK(!w.storage().has(2));
  CHECK(io::to_vector(dev, w)[5] == static_cast<f32>(numbers(1, 1)));  // every process has all of it
}

TEST_CASE("a mesh that does not fit the GPUs is refused") {
  cuda::Options o = few_bytes();
  o.processes = 2;
  Device dev(o);
  On<f32, Shape<4, 4>, Grid, P<>> x;
  CHECK_THROWS_WITH_AS(io::fill(dev, x, numbers), doctest::Contains("a mesh of 4 devices does not fit"), Error);
}

}  // namespace
