// A process for every rank: weights that are gathered are those that one process gathers, bit for bit.
// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <tess/cuda.hpp>
#include <tess/ops/gather_weights.hpp>
#include <tess/ops/reshard.hpp>

#include "support/both_devices.hpp"
#include "support/processes.hpp"

using namespace tess;
using namespace support;

namespace {

struct data;
struct model;
using M = Mesh<Axis<data, 2>, Axis<model, 2>>;

template <class T>
std::vector<std::byte> downloaded(cuda::Gpu& gpu, const T* from, index_t count) {
  std::vector<std::byte> bytes(static_cast<std::size_t>(count) * sizeof(T));
  gpu.download(bytes.data(), from, static_cast<index_t>(bytes.size()));
  return bytes;
}

/// What rank r holds of a weight, padding and scales included.
template <class W>
std::vector<std::byte> shard_of(Cuda& dev, const W& w, index_t r) {
  const auto& view = w.storage().weights(r);
  cuda::Gpu& gpu = dev.gpu_of(r, W::mesh::size);
  auto bytes = downloaded(gpu, view.data, view.count * view.rows * view.pitch);
  if constexpr (std::decay_t<decltype(view)>::has_scales) {
    const auto scales = downloaded(gpu, view.scales, view.count * view.groups * view.scale_pitch);
    bytes.insert(bytes.end(), scales.begin(), scales.end());
  }
  return bytes;
}

/// op(dev, w) has on every rank the same with four ranks on one GPU and in four processes, and counts the same.
template <class W, class Op>
void check_weights(const W& w, Op op) {
  if (!has_gpus(4)) return;
  std::vector<std::vector<std::byte>> expected;
  Received bytes;
  {
    Cuda dev;
    const auto y = op(dev, io::on_device(dev, w));
    for (index_t r = 0; r < 4; ++r) expected.push_back(shard_of(dev, y, r));
    bytes = dev.traffic().bytes;
  }
  std::vector<std::vector<std::byte>> found(4);
  std::vector<Received> counted(4);
  in_processes(4, 4, [&](const cuda::Options& o) {
    Cuda dev(o);
    const auto p = static_cast<std::size_t>(o.process);
    const auto y = op(dev, io::on_device(dev, w));
    found[p] = shard_of(dev, y, o.process);
    counted[p] = dev.traffic().bytes;
  });
  for (std::size_t r = 0; r < 4; ++r) {
    CHECK(found[r] == expected[r]);
    CHECK(counted[r] == bytes);
  }
}

template <class E>
void check_gathered(index_t groups) {
  CAPTURE(groups);
  Host host(1);
  using W = ShardedTensor<packed<E>, Shape<24, 20>, M, P<data, model>, Host>;
  W w;
  load(host, w, {24, 20}, random(1, 480), groups);
  check_weights(w, [](auto& d, const auto& x) { return gather_weights<P<None, model>>(d, x); });
  check_weights(w, [](auto& d, const auto& x) { return gather_weights<P<None, None>>(d, x); });
  using Experts = ShardedTensor<packed<E>, Shape<4, 24, 20>, M, P<model, data, None>, Host>;
  Experts experts;
  load(host, experts, {4, 24, 20}, random(2, 1920), groups);
  check_weights(experts, [](auto& d, const auto& x) { return gather_weights<P<model, None, None>>(d, x); });
}

}  // namespace

TEST_CASE("weights of f32 and bf16 are gathered from other processes") {
  check_gathered<f32>(1);
  check_gathered<bf16>(1);
}
TEST_CASE("weights of int8 are, whose groups of scales lie within a part, are parts, or cross them") {
  for (const index_t groups : {1, 2, 3, 8}) check_gathered<q8<dyn>>(groups);
}
