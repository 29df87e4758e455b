// Checkpoints on GPUs: every parameter holds what it holds on Host, whatever its layout; and is saved again.
// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <string>
#include <vector>

#include <tess/device/cuda/upload.hpp>
#include <tess/io/init_model.hpp>
#include <tess/io/save_model.hpp>
#include <tess/nn/parameters.hpp>

#include "support/files.hpp"

namespace {
using namespace tess;
using namespace tess::io;
using namespace tess::test;

struct data;
struct model;
using One = Mesh<Axis<data, 1>, Axis<model, 1>>;
using Row = Mesh<Axis<data, 1>, Axis<model, 4>>;
using Grid = Mesh<Axis<data, 2>, Axis<model, 2>>;

struct Gpus : cuda::Base {
  using Base::Base;
};
cuda::Options few_bytes() {
  cuda::Options o;
  o.threads = 2, o.staging_bytes = 500;
  return o;
}

/// One parameter of every kind; their rows and columns are no multiples of 16 bytes or of a tile.
template <class D, class M>
struct Model {
  template <class T, class S, class Spec>
  using Param = ShardedTensor<T, S, M, Spec, D>;
  Param<table<bf16>, Shape<40, 24>, P<None, model>> embed{};
  Param<bf16, Shape<40, dyn>, P<model, None>> positions{};
  Param<packed<bf16>, Shape<24, 300>, P<None, model>> query{};
  Param<packed<f32>, Shape<300, 24>, P<model, None>> output{};
  Param<packed<q8<2>>, Shape<4, 16, 24>, P<None, model, None>> quantized{};
  Param<packed<q8<1>>, Shape<24, 16>, P<data, model>> quantized_whole{};
  Param<packed<f32>, Shape<4, 8, 16>, P<data, None, model>> experts{};
  Param<packed<bf16>, Shape<4, 8, 12>, P<data, None, model>> gate{};
  Param<packed<bf16>, Shape<4, 8, 12>, P<data, None, model>> up{};
  Param<packed<f32>, Shape<4, 6, 8>, P<model, None, None>> keys{};
  Param<packed<f32>, Shape<4, 8, 5>, P<model, None, None>> values{};
  Param<f32, Shape<4, 12>, P<data, model>> bias{};
  Param<f32, Shape<24>, P<None>> scale{};

  template <class F>
  void parameters(F&& f) {
    f(nn::Scope("embeddings"), embed), f(nn::Scope("positions/embeddings"), positions);
    f(nn::Scope("query/w"), query), f(nn::Scope("output/w"), output);
    f(nn::Scope("quantized"), quantized), f(nn::Scope("quantized_whole"), quantized_whole);
    f(nn::Scope("experts/w"), experts), f(nn::Scope("gate/w"), gate), f(nn::Scope("up/w"), up);
    f(nn::Scope("keys/w"), keys), f(nn::Scope("values/w"), values), f(nn::Scope("gate/b"), bias);
    f(nn::Scope("norm/scale"), scale);
  }
};

const Names names = {{"embeddings", "embed", {40, 24}},
                     {"positions/embeddings", "positions", {40, 7}},
                     {"query/w", "q", {300, 24}, out_in},
                     {"output/w", "o", {24, 300}, out_in},
                     {"quantized", "i8", {4, 16, 24}},
                     {"quantized_whole", "i8.whole", {24, 16}},
                     {"experts/w", "e.{}.w", {4, 16, 8}, out_in},
                     {"gate/w", "gate_up", {4, 8, 24}, columns(0, 2)},
                     {"up/w", "gate_up", {4, 8, 24}, columns(1, 2)},
                     {"keys/w", "kv", {44, 8}, block_rows(4, 0, 6)},
                     {"values/w", "kv", {44, 8}, transposed(block_rows(4, 6, 5))},
                     {"gate/b", "bias", {4, 12}},
                     {"norm/scale", "norm", {24}}};

/// What a parameter holds: the bits of its numbers in the whole; of an embedding, its rows.
template <class D, AnyTensor X>
std::vector<f32> numbers(D& dev, const X& x) {
  if constexpr (is_table<typename X::value_type>) {
    const auto y = on_host(dev, x);
    std::vector<f32> all;
    for (index_t r = 0; r < X::mesh::size; ++r)
      for (index_t v = 0; v < x.local_extent(0); ++v) {
        std::vector<f32> row(static_cast<std::size_t>(x.local_extent(1)));
        y.storage().table_of(r).copy_row(v, row.data());
        all.insert(all.end(), row.begin(), row.end());
        for (index_t d = 0; d < x.local_extent(1); ++d)
          all.push_back(host::unpack(y.storage().table_of(r).columns, d, v));
      }
    return all;
  } else {
    const auto all = to_vector(dev, x);
    return {all.begin(), all.end()};
  }
}
template <class D, class M>
std::vector<std::vector<f32>> numbers(D& dev, Model<D, M>& m) {
  std::vector<std::vector<f32>> all;
  m.parameters([&](const auto&, auto& x) { all.push_back(numbers(dev, x)); });
  return all;
}

}  // namespace

TEST_CASE_TEMPLATE("a model on GPUs begins, is loaded and is saved as on Host, bit for bit", M, One, Row, Grid) {
  const TemporaryFolder folder;
  Host host(1);
  Gpus dev(few_bytes());
  Model<Host, M> drawn;
  init_model(host, drawn, names, 5);
  Model<Gpus, M> same;
  init_model(dev, same, names, 5);
  CHECK(numbers(dev, same) == numbers(host, drawn));

  save_model(drawn, names, folder / "host.safetensors");
  save_model(dev, same, names, folder / "cuda.safetensors");
  CHECK(read_file(folder / "cuda.safetensors") == read_file(folder / "host.safetensors"));

  Model<Gpus, M> loaded;
  index_t calls = 0, last = 0;
  load_model(dev, loaded, SafetensorsCheckpoint(folder / "host.safetensors"), names, [&](index_t done, index_t all) {
    ++calls, last = done;
    CHECK(all == 13);
  });
  CHECK(calls == 13);
  CHECK(last == 13);
  CHECK(numbers(dev, loaded) == numbers(host, drawn));
  CHECK(dev.staging().bytes() <= 3 * 1200);  // the longest row is that of 300 f32
}

TEST_CASE("a checkpoint that does not fit leaves a model on GPUs as it was") {
  const TemporaryFolder folder;
  Gpus dev(few_bytes());
  Model<Gpus, Grid> m;
  init_model(dev, m, names, 5);
  save_model(dev, m, names, folder / "model.safetensors");
  const auto before = numbers(dev, m);
  Names other = names;
  other.back() = {"norm/scale", "another", {24}};
  CHECK_THROWS_WITH_AS(load_model(dev, m, SafetensorsCheckpoint(folder / "model.safetensors"), other),
                       doctest::Contains("1 tensor is missing: 'another'"), Error);
  CHECK(numbers(dev, m) == before);
}
