// Sizes of a model that stores nothing, from its table of names: as the table says, or one error.
// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <array>
#include <string>

#include <tess/device/dry.hpp>
#include <tess/io/declare.hpp>
#include <tess/nn/parameters.hpp>

#include "support/files.hpp"

using namespace tess;
using namespace tess::test;

namespace {

struct model;
using M = Mesh<Axis<model, 2>>;

/// A matrix of open sizes, experts of an open number, a norm whose width is known.
template <index_t Width>
struct Three {
  ShardedTensor<packed<bf16>, Shape<dyn, dyn>, M, P<None, model>> w{};
  ShardedTensor<packed<bf16>, Shape<dyn, dyn, dyn>, M, P<None, None, model>> experts{};
  ShardedTensor<f32, Shape<Width>, M, P<None>> scale{};

  template <class F>
  void parameters(F&& f) {
    f(nn::Scope("layer_3/w"), w), f(nn::Scope("layer_3/experts"), experts), f(nn::Scope("layer_3/scale"), scale);
  }
};

io::Names names(std::vector<index_t> experts = {5, 12, 8}) {
  return {{"layer_{}/w", "blocks.{}.w", {12, 8}, io::out_in},
          {"layer_{}/experts", "blocks.{}.e.{}.w", std::move(experts), io::out_in},
          {"layer_{}/scale", "blocks.{}.norm", {8}}};
}

}  // namespace

TEST_CASE("declare_parameters: extents as the table has them, in the parameter's own order") {
  Three<8> m;
  io::declare_parameters(m, names());
  CHECK(m.w.extents().array() == std::array<index_t, 2>{8, 12});
  CHECK(m.w.local_extent(1) == 6);
  CHECK(m.experts.extents().array() == std::array<index_t, 3>{5, 8, 12});
  CHECK(m.scale.extent(0) == 8);
  CHECK(nn::parameter_bytes(m) == 8 * 6 * 2 + 5 * 8 * 6 * 2 + 8 * 4);
}

TEST_CASE("declare_parameters: what the table lacks, or says otherwise than the type, is one error") {
  Three<8> m;
  CHECK(contains(error_of([&] { io::declare_parameters(m, {}); }), "no row of the table fits the parameter layer_3/w"));
  CHECK(contains(error_of([&] { io::declare_parameters(m, names({12, 8})); }), "say how many there are of it"));
  Three<16> wider;
  CHECK(contains(error_of([&] { io::declare_parameters(wider, names()); }),
                 "layer_3/scale: dimension 0 is 16 in the model's type, 8 in the table"));
  CHECK(contains(error_of([&] {
                   auto odd = names();
                   odd[0].shape = {11, 8};
                   io::declare_parameters(m, odd);
                 }),
                 "11"));
}
