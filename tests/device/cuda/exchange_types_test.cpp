// Collectives of tensors on Cuda: all types of elements, NaN, odd sizes, blocks that are sent, and recorded steps.
// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <limits>

#include <tess/device/cuda/exchange_verbs.hpp>
#include <tess/device/cuda/replay.hpp>
#include <tess/device/cuda/upload.hpp>
#include <tess/ops/attention.hpp>
#include <tess/ops/reshard.hpp>
#include <tess/ops/shard_map.hpp>

#include "support/both_devices.hpp"
#include "support/gpus.hpp"

using namespace support;

namespace {

struct Ranks : cuda::Base, cuda::ExchangeVerbs<Ranks>, cuda::ReplayVerbs<Ranks> {
  using Base::Base;
};

struct data;
struct model;
using M = Mesh<Axis<data, 2>, Axis<model, 4>>;
template <class T, class S, class Spec>
using OnHost = ShardedTensor<T, S, M, Spec, Host>;

/// The same reshard on both devices: the same elements and bytes, and the same bits where nothing is rounded.
template <class T, class S, class From, class To>
void same(Ranks& dev, const Extents<S>& extents = {}, f64 tolerance = 0) {
  BothDevices both(dev);
  const auto x = both.template random<OnHost<T, S, From>>(7, extents, 30);
  both.check(
      tolerance, [](auto& d, const auto& v) { return reshard<To>(d, v); }, x);
}

/// f(device) for all ways to connect eight ranks in this process that the machine has.
template <class F>
void in_all_ways(F f) {
  const auto with = [&](int gpus, cuda::Connection connection, index_t one_shot_bytes) {
    if (!has_gpus(gpus)) return;
    CAPTURE(gpus);
    CAPTURE(static_cast<int>(connection));
    CAPTURE(one_shot_bytes);
    cuda::Options o;
    o.gpus.clear();
    for (int g = 0; g < gpus; ++g) o.gpus.push_back(g);
    o.connection = connection, o.one_shot_bytes = one_shot_bytes;
    Ranks dev(o);
    f(dev);
  };
  with(1, cuda::Connection::automatic, 0);
  with(8, cuda::Connection::automatic, 0);
  with(8, cuda::Connection::automatic, 1 << 16);
  with(8, cuda::Connection::copies, 0);
}

}  // namespace

TEST_CASE("all types of elements move and are put together") {
  in_all_ways([](Ranks& dev) {
    same<f32, Shape<8, 16>, P<data, model>, P<model, data>>(dev);
    same<bf16, Shape<8, 16>, P<data, model>, P<None, Axes<model, data>>>(dev);
    same<bool, Shape<8, 16>, P<data>, P<None, model>>(dev);
    same<f64, Shape<8, 16>, P<Axes<data, model>>, P<>>(dev);
    same<i32, Shape<8, 16>, P<Partial<data, model>>, P<model, data>>(dev);
    same<f32, Shape<8, 16>, P<data, None, Partial<model>>, P<data, model>>(dev, {}, 1e-6);
    same<f32, Shape<8, 16>, P<Partial<model>>, P<>>(dev, {}, 1e-6);
    same<f64, Shape<8, 16>, P<Partial<data, model>>, P<>>(dev, {}, 1e-14);
    same<bf16, Shape<8, 16>, P<Partial<model>>, P<data>>(dev, {}, 0.02);
    same<bf16, Shape<8, 16>, P<None, None, PartialMax<model>>, P<None, model>>(dev);
    same<bool, Shape<8, 16>, P<Partial<model>>, P<>>(dev);
    same<bool, Shape<8, 16>, P<PartialMin<model>>, P<data>>(dev);
    same<f32, Shape<8, 16>, P<>, P<None, None, PartialMax<model>>>(dev);
  });
}

TEST_CASE("odd sizes, none at all, and more than one launch takes") {
  in_all_ways([](Ranks& dev) {
    using S = Shape<dyn, 3>;
    same<f32, S, P<data, None, Partial<model>>, P<data>>(dev, Extents<S>(2), 1e-6);
    same<f32, S, P<data, None, Partial<model>>, P<data>>(dev, Extents<S>(10), 1e-6);
    same<bf16, S, P<Partial<model>>, P<>>(dev, Extents<S>(1), 0.02);
    same<f32, S, P<Partial<model>>, P<>>(dev, Extents<S>(0));
    same<f32, S, P<data>, P<>>(dev, Extents<S>(0));
    same<bf16, S, P<data>, P<model>>(dev, Extents<S>(12));
    same<i32, Shape<dyn, 3, 5, 7>, P<data>, P<None, None, None, None>>(dev, Extents<Shape<dyn, 3, 5, 7>>(4));
  });
}

TEST_CASE("of maxima and minima NaN wins, as on Host") {
  constexpr f32 nan = std::numeric_limits<f32>::quiet_NaN(), inf = std::numeric_limits<f32>::infinity();
  in_all_ways([&](Ranks& dev) {
    BothDevices both(dev);
    using X = OnHost<f32, Shape<8>, P<None, PartialMax<model>>>;
    const auto x = both.template tensor<X>({}, std::vector<f32>{1, nan, -inf, inf, 0, -1, nan, 5});
    for (index_t r = 0; r < 8; ++r) x.host.storage().data(r)[5] = r % 4 == 2 ? nan : static_cast<f32>(r);
    const auto y = both.elements(reshard<P<>>(dev, io::on_device(dev, x.host)));
    for (const std::size_t i : {1u, 5u, 6u}) CHECK(y[i] != y[i]);
    CHECK(y[0] == 1);
    CHECK(y[2] == -inf);
    CHECK(y[3] == inf);
  });
}

TEST_CASE("blocks are sent along an axis; who gets none has zeros") {
  in_all_ways([](Ranks& dev) {
    BothDevices both(dev);
    const auto x = both.template random<OnHost<f32, Shape<8, 6>, P<Axes<data, model>>>>(3, {});
    both.check(
        0,
        [](auto& d, const auto& v) {
          return shard_map<In<P<Axes<data, model>>>, Out<P<Axes<data, model>>>>(
              d, [](auto block) { return ppermute<model, Send<0, 1>, Send<1, 3>, Send<2, 2>>(block); }, v);
        },
        x);
  });
}

TEST_CASE("a recorded step exchanges anew at every launch, and counts what it moves") {
  in_all_ways([](Ranks& dev) {
    BothDevices both(dev);
    using X = OnHost<f32, Shape<8, 16>, P<data, None, Partial<model>>>;
    const auto first = both.template random<X>(1, {});
    auto x = first.device;
    const index_t key[] = {8};
    for (index_t turn = 0; turn < 4; ++turn) {
      const auto now = both.template random<X>(turn, {});
      for (index_t r = 0; r < 8; ++r)
        dev.gpu_of(r, 8).upload(x.storage().data(r), now.host.storage().data(r), x.local_extents().size() * 4);
      dev.reset_traffic();
      const Segment row{};
      const auto y = dev.replay(std::span<const index_t>(key), Segments(&row, 1),
                                [&] { return reshard<P<None, data>>(dev, reshard<P<data>>(dev, x)); });
      both.host.reset_traffic();
      both.check_same(1e-6, y, reshard<P<None, data>>(both.host, reshard<P<data>>(both.host, now.host)));
      CHECK(dev.traffic().busiest_bytes == both.host.traffic().busiest_bytes);
      CHECK(dev.traffic().collectives == both.host.traffic().collectives);
    }
    CHECK(dev.recorded_steps() == 1);
  });
}
