// A saved model is loaded back bit for bit, on any mesh; every mesh writes the same bytes, in one file or in parts.
// SPDX-License-Identifier: Apache-2.0
#include "tess/io/save_model.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <string>
#include <vector>

#include "support/files.hpp"
#include "tess/io/init_model.hpp"
#include "tess/nn/parameters.hpp"

using namespace tess;
using namespace tess::io;
using namespace tess::test;

namespace {

struct data;
struct model;
using One = Mesh<Axis<data, 1>, Axis<model, 1>>;
using Row = Mesh<Axis<data, 1>, Axis<model, 4>>;
using Grid = Mesh<Axis<data, 2>, Axis<model, 2>>;

template <class M, class T, class S, class Spec>
using Param = ShardedTensor<T, S, M, Spec, Host>;

/// One parameter of every kind.
template <class M>
struct Model {
  Param<M, table<bf16>, Shape<40, 24>, P<None, model>> embed{};
  Param<M, bf16, Shape<40, dyn>, P<model, None>> positions{};
  Param<M, packed<bf16>, Shape<24, 300>, P<None, model>> query{};
  Param<M, packed<f32>, Shape<300, 24>, P<model, None>> output{};
  Param<M, packed<q8<2>>, Shape<4, 16, 24>, P<None, model, None>> quantized{};
  Param<M, packed<q8<1>>, Shape<24, 16>, P<data, model>> quantized_whole{};
  Param<M, packed<f32>, Shape<4, 8, 16>, P<data, None, model>> experts{};
  Param<M, packed<bf16>, Shape<4, 8, 12>, P<data, None, model>> gate{};
  Param<M, packed<bf16>, Shape<4, 8, 12>, P<data, None, model>> up{};
  Param<M, packed<f32>, Shape<4, 6, 8>, P<model, None, None>> keys{};
  Param<M, packed<f32>, Shape<4, 8, 5>, P<model, None, None>> values{};
  Param<M, f32, Shape<4, 12>, P<data, model>> bias{};
  Param<M, f32, Shape<24>, P<None>> scale{};

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

template <class M>
Model<M> drawn(Host& dev) {
  Model<M> m;
  init_model(dev, m, names, 5);
  return m;
}

}  // namespace

TEST_CASE_TEMPLATE("every mesh writes the same bytes, and reads them back", M, One, Row, Grid) {
  const TemporaryFolder folder;
  Host dev;
  save_model(drawn<One>(dev), names, folder / "one.safetensors");
  save_model(drawn<M>(dev), names, folder / "mesh.safetensors");
  const std::string bytes = read_file(folder / "one.safetensors");
  CHECK(read_file(folder / "mesh.safetensors") == bytes);

  Model<M> loaded;
  load_model(dev, loaded, SafetensorsCheckpoint(folder / "one.safetensors"), names);
  save_model(loaded, names, folder / "again.safetensors");
  CHECK(read_file(folder / "again.safetensors") == bytes);
  CHECK(to_vector(loaded.query) == to_vector(drawn<M>(dev).query));
  CHECK(to_vector(loaded.quantized) == to_vector(drawn<One>(dev).quantized));
}

TEST_CASE("what stands in the file: the names, shapes and types of the table") {
  const TemporaryFolder folder;
  Host dev;
  const auto m = drawn<Grid>(dev);
  save_model(m, names, folder.path(), {.metadata = {{"format", "pt"}, {"step", "7"}}});
  const SafetensorsCheckpoint file(folder.path());
  CHECK(file.path().filename() == "model.safetensors");
  CHECK(file.arrays().size() == 12 + 4);
  CHECK(describe(file["q"]) == "bf16[300, 24]");
  CHECK(describe(file["o"]) == "f32[24, 300]");
  CHECK(describe(file["i8"]) == "i8[4, 16, 24]");
  CHECK(describe(file["i8_scale"]) == "bf16[4, 2, 24]");
  CHECK(describe(file["e.3.w"]) == "f32[16, 8]");
  CHECK(describe(file["gate_up"]) == "bf16[4, 8, 24]");
  CHECK(describe(file["norm"]) == "f32[24]");
  CHECK(values_as<f32>(file["norm"]) == std::vector<f32>(24, 1));
  const auto whole = values_as<f32>(file["gate_up"]), up = to_vector(m.up);
  for (std::size_t i = 0; i < up.size(); ++i) CHECK(up[i] == whole[2 * i + 1]);
  CHECK(contains(read_file(folder / "model.safetensors"), R"("__metadata__":{"format":"pt","step":"7"})"));
}

TEST_CASE("in parts, with an index: the same tensors, none larger than asked but where one tensor is") {
  const TemporaryFolder folder;
  Host dev;
  save_model(drawn<Grid>(dev), names, folder.path(), {.part_bytes = 16000});
  const SafetensorsCheckpoint parts(folder.path());
  CHECK(parts.path().filename() == "model.safetensors.index.json");
  std::size_t files = 0, total = 0;
  for (const auto& entry : std::filesystem::directory_iterator(folder.path())) {
    if (entry.path().extension() != ".safetensors") continue;
    ++files;
    std::size_t bytes = 0;
    const SafetensorsFile part(entry.path());
    for (const NamedArray& a : part.arrays()) bytes += a.array.data.size();
    CHECK((bytes <= 16000 || part.size() == 1));
    total += bytes;
  }
  CHECK(files > 3);
  CHECK(std::filesystem::exists(folder / ("model-00001-of-0000" + std::to_string(files) + ".safetensors")));
  CHECK(Json::read_file(parts.path()).at("metadata").at("total_size").integer() == static_cast<std::int64_t>(total));

  Model<Row> loaded;
  load_model(dev, loaded, parts, names);
  save_model(loaded, names, folder / "whole.safetensors");
  save_model(drawn<One>(dev), names, folder / "direct.safetensors");
  CHECK(read_file(folder / "whole.safetensors") == read_file(folder / "direct.safetensors"));
  CHECK(contains(error_of([&] { save_model(loaded, names, folder.path()); }), "would still be read in place of"));
}

TEST_CASE("what cannot be saved leaves the old file as it was") {
  const TemporaryFolder folder;
  const auto path = folder / "model.safetensors";
  write_file(path, "the old one");
  Host dev;
  const auto refused = [&](const Names& table) { return error_of([&] { save_model(drawn<One>(dev), table, path); }); };
  Names table = names;
  SUBCASE("half a tensor") {
    table[8].tensor = "up";
    CHECK(contains(refused(table), "tensor 'gate_up' [4, 8, 24]: 384 of its elements belong to no parameter"));
  }
  SUBCASE("the same half of it twice") {
    table[8].layout = columns(0, 2);
    CHECK(contains(refused(table), "tensor 'gate_up' [4, 8, 24]: 384 of its elements belong to no parameter"));
  }
  SUBCASE("another shape") {
    table[12].shape = {23};
    CHECK(contains(refused(table), "[names] norm/scale: is [24], but [23] in the table of names"));
  }
  SUBCASE("two types in one tensor") {
    table[5].tensor = "q", table[5].shape = {24, 16};
    CHECK(contains(refused(table), "two parameters want the tensor 'q', as i8[24, 16] and as bf16[300, 24]"));
  }
  SUBCASE("no numbers") {
    CHECK(
        contains(error_of([&] { save_model(Model<One>{}, names, path); }), "embeddings: the model has no numbers yet"));
  }
  CHECK(read_file(path) == "the old one");
}

namespace {
struct Tied {
  Param<Grid, bf16, Shape<40, 24>, P<None, model>> embed{};
  Param<Grid, packed<bf16>, Shape<24, 40>, P<None, model>> head{};
  template <class F>
  void parameters(F&& f) {
    f(nn::Scope("embeddings"), embed), f(nn::Scope("head"), head);
  }
};
}  // namespace

TEST_CASE("a tied tensor is written once") {
  const TemporaryFolder folder;
  const Names table = {{"embeddings", "e", {40, 24}}, {"head", "e", {40, 24}, out_in}};
  Host dev;
  Tied m, loaded;
  init_model(dev, m, 1);
  save_model(m, table, folder / "x.safetensors");
  CHECK(SafetensorsFile(folder / "x.safetensors").size() == 1);
  load_model(dev, loaded, SafetensorsCheckpoint(folder / "x.safetensors"), table);
  const auto rows = to_vector(m.embed);
  const auto columns_of_head = to_vector(loaded.head);
  for (std::size_t v = 0; v < 40; ++v)
    for (std::size_t h = 0; h < 24; ++h) CHECK(f32(rows[v * 24 + h]) == columns_of_head[h * 40 + v]);
}

TEST_CASE("random numbers: of the variance that keeps activations, the same on every mesh") {
  Host dev;
  const auto one = drawn<One>(dev);
  const auto variance = [](const auto& values) {
    f64 sum = 0;
    for (const f32 x : values) sum += static_cast<f64>(x) * x;
    return sum / static_cast<f64>(values.size());
  };
  CHECK(variance(to_vector(one.query)) == doctest::Approx(1.0 / 24).epsilon(0.05));
  CHECK(variance(to_vector(one.output)) == doctest::Approx(1.0 / 300).epsilon(0.05));
  CHECK(variance(to_vector(one.experts)) == doctest::Approx(1.0 / 8).epsilon(0.1));
  CHECK(variance(to_vector(one.positions)) == doctest::Approx(1).epsilon(0.15));
  CHECK(to_vector(one.scale) == std::vector<f32>(24, 1));
  CHECK(to_vector(one.bias) == std::vector<f32>(48, 0));
  CHECK(to_vector(one.gate) != to_vector(one.up));
  CHECK(to_vector(one.query) == to_vector(drawn<Grid>(dev).query));
  CHECK(to_vector(one.experts) == to_vector(drawn<Row>(dev).experts));

  Model<One> other;
  init_model(dev, other, names, 6);
  CHECK(to_vector(one.query) != to_vector(other.query));
  CHECK(contains(error_of([&] {
                   Model<One> open;
                   init_model(dev, open, 5);
                 }),
                 "positions/embeddings: dimension 1 has no extent yet"));
}
