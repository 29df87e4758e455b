// A model's parameters from safetensors: every layout, element type and mesh gives the same numbers; a wrong file none.
// SPDX-License-Identifier: Apache-2.0
#include "tess/io/load_model.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "support/files.hpp"
#include "tess/io/fill.hpp"
#include "tess/io/safetensors_writer.hpp"
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

using Shape_ = std::vector<index_t>;

/// 0, 1, ..., 15, -16, ..., -1, 0, ...: exact in every element type.
f32 number(index_t i) {
  return static_cast<f32>((i * 7 + i / 32) % 32 < 16 ? (i * 7 + i / 32) % 32 : (i * 7 + i / 32) % 32 - 32);
}
std::vector<f32> numbers(const Shape_& shape) {
  std::vector<f32> values(static_cast<std::size_t>(io::detail::product(shape)));
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = number(static_cast<index_t>(i));
  return values;
}
template <class T = f32>
NamedArray tensor(const std::string& name, const Shape_& shape, DType dtype = DType::f32) {
  const auto values = numbers(shape);
  return {name, array_of(dtype, shape, [&] {
            std::vector<T> v;
            v.reserve(values.size());
            for (const f32 x : values) v.push_back(static_cast<T>(x));
            return v;
          }())};
}

template <class M, class T, class S, class Spec>
using Param = ShardedTensor<T, S, M, Spec, Host>;

/// One parameter of every kind.
template <class M>
struct Model {
  Param<M, bf16, Shape<dyn, 8>, P<None, model>> embed{};
  Param<M, packed<bf16>, Shape<24, dyn>, P<None, model>> query{};         // file [16, 24]
  Param<M, packed<f32>, Shape<16, 24>, P<model, None>> output{};          // as it lies
  Param<M, packed<f32>, Shape<4, 8, 16>, P<data, None, model>> up{};      // four files [16, 8]
  Param<M, packed<f32>, Shape<dyn, 16, 8>, P<data, model, None>> down{};  // four files [8, 16], so many as there are
  Param<M, packed<bf16>, Shape<4, 8, 12>, P<data, None, model>> gate{};   // stacked [4, 8, 24], even columns
  Param<M, packed<f32>, Shape<4, 8, 12>, P<data, None, model>> lift{};    // odd columns
  Param<M, f32, Shape<4, 12>, P<data, model>> bias{};                     // stacked [4, 24], odd columns
  Param<M, bf16, Shape<4, 12>, P<data, model>> lift_bias{};
  Param<M, packed<f32>, Shape<4, 6, 8>, P<model, None, None>> keys{};    // [4 · (6 + 5), 8]
  Param<M, packed<f32>, Shape<4, 8, 5>, P<model, None, None>> values{};  // the same tensor
  Param<M, f32, Shape<8>, P<None>> scale{};
  Param<M, f64, Shape<2, 3, 4>, P<data, None, model>> moments{};
  Param<M, i32, Shape<8>, P<model>> ids{};

  template <class F>
  void parameters(F&& f) {
    const nn::Scope layer("layers_3");
    f(nn::Scope("embed/embeddings"), embed), f(layer / "query/w", query), f(layer / "output/w", output);
    f(layer / "experts/up/w", up), f(layer / "experts/down/w", down), f(layer / "experts/gate/w", gate);
    f(layer / "experts/gate/b", bias), f(layer / "experts/lift/w", lift), f(layer / "experts/lift/b", lift_bias);
    f(layer / "keys", keys), f(layer / "values", values);
    f(layer / "norm/scale", scale), f(layer / "moments", moments), f(layer / "ids", ids);
  }
};

const Names names = {{"embed/embeddings", "embed", {20, 8}},
                     {"layers_{}/query/w", "{}.q", {16, 24}, out_in},
                     {"layers_{}/output/w", "{}.o", {16, 24}},
                     {"layers_{}/experts/up/w", "{}.e.{}.up", {16, 8}, out_in},
                     {"layers_{}/experts/down/w", "{}.e.{}.down", {8, 16}, out_in},
                     {"layers_{}/experts/gate/w", "{}.gate_up", {4, 8, 24}, columns(0, 2)},
                     {"layers_{}/experts/gate/b", "{}.gate_up_bias", {4, 24}, columns(0, 2)},
                     {"layers_{}/experts/lift/w", "{}.gate_up", {4, 8, 24}, columns(1, 2)},
                     {"layers_{}/experts/lift/b", "{}.gate_up_bias", {4, 24}, columns(1, 2)},
                     {"layers_{}/keys", "{}.kv", {44, 8}, block_rows(4, 0, 6)},
                     {"layers_{}/values", "{}.kv", {44, 8}, transposed(block_rows(4, 6, 5))},
                     {"layers_{}/norm/scale", "{}.norm", {8}},
                     {"layers_{}/moments", "{}.m", {2, 3, 4}},
                     {"layers_{}/ids", "{}.ids", {8}},
                     {unused, "*.inv_freq"}};

std::vector<NamedArray> checkpoint() {
  std::vector<NamedArray> all = {tensor("embed", {20, 8}),
                                 tensor<bf16>("3.q", {16, 24}, DType::bf16),
                                 tensor("3.o", {16, 24}),
                                 tensor("3.gate_up", {4, 8, 24}),
                                 tensor("3.gate_up_bias", {4, 24}),
                                 tensor("3.kv", {44, 8}),
                                 tensor("3.norm", {8}),
                                 tensor<f64>("3.m", {2, 3, 4}, DType::f64),
                                 tensor<i32>("3.ids", {8}, DType::i32),
                                 tensor("3.inv_freq", {2})};
  for (const char* e : {"0", "1", "2", "3"}) {
    all.push_back(tensor("3.e." + std::string(e) + ".up", {16, 8}));
    all.push_back(tensor<bf16>("3.e." + std::string(e) + ".down", {8, 16}, DType::bf16));
  }
  return all;
}

/// The model from these tensors; the message, where they are refused.
template <class M = One>
std::string load(Model<M>& m, const std::vector<NamedArray>& arrays, const Names& table = names) {
  const TemporaryFolder folder;
  write_safetensors(folder / "model.safetensors", arrays);
  Host dev;
  return error_of([&] { load_model(dev, m, SafetensorsCheckpoint(folder.path()), table); });
}

/// to_vector(x) is value(i, j, ...) everywhere.
template <class X, class Value>
bool holds(const X& x, Value value) {
  const auto all = to_vector(x);
  bool same_numbers = all.size() > 0;
  io::detail::each_index<static_cast<std::size_t>(X::rank)>(
      x.extents().array(), io::detail::everything(x.extents().array()), [&](index_t i, auto... at) {
        same_numbers = same_numbers && static_cast<f32>(all[static_cast<std::size_t>(i)]) == value(at...);
      });
  return same_numbers;
}

NamedArray& find(std::vector<NamedArray>& arrays, const std::string& name) {
  for (NamedArray& a : arrays)
    if (a.name == name) return a;
  throw std::logic_error(name);
}

}  // namespace

TEST_CASE_TEMPLATE("every layout and kind of parameter, on every mesh", M, One, Row, Grid) {
  Model<M> m;
  REQUIRE(load(m, checkpoint()) == "");
  CHECK(m.embed.extent(0) == 20);
  CHECK(m.query.extent(1) == 16);
  CHECK(m.down.extent(0) == 4);
  CHECK(holds(m.embed, [](index_t v, index_t h) { return number(v * 8 + h); }));
  CHECK(holds(m.query, [](index_t k, index_t n) { return number(n * 24 + k); }));
  CHECK(holds(m.output, [](index_t k, index_t n) { return number(k * 24 + n); }));
  CHECK(holds(m.up, [](index_t, index_t k, index_t n) { return number(n * 8 + k); }));
  CHECK(holds(m.down, [](index_t, index_t k, index_t n) { return number(n * 16 + k); }));
  CHECK(holds(m.gate, [](index_t e, index_t k, index_t n) { return number((e * 8 + k) * 24 + 2 * n); }));
  CHECK(holds(m.bias, [](index_t e, index_t n) { return number(e * 24 + 2 * n); }));
  CHECK(holds(m.lift, [](index_t e, index_t k, index_t n) { return number((e * 8 + k) * 24 + 2 * n + 1); }));
  CHECK(holds(m.lift_bias, [](index_t e, index_t n) { return number(e * 24 + 2 * n + 1); }));
  CHECK(holds(m.keys, [](index_t h, index_t r, index_t c) { return number((h * 11 + r) * 8 + c); }));
  CHECK(holds(m.values, [](index_t h, index_t c, index_t r) { return number((h * 11 + 6 + r) * 8 + c); }));
  CHECK(holds(m.scale, number));
  CHECK(holds(m.moments, [](index_t a, index_t b, index_t c) { return number((a * 3 + b) * 4 + c); }));
  CHECK(holds(m.ids, number));
}

TEST_CASE("replicas share their numbers, and progress counts the parameters") {
  const TemporaryFolder folder;
  write_safetensors(folder / "model.safetensors", checkpoint());
  Model<Grid> m;
  Host dev;
  std::vector<index_t> done;
  load_model(dev, m, SafetensorsCheckpoint(folder.path()), names, [&](index_t i, index_t all) {
    done.push_back(i);
    CHECK(all == 14);
  });
  CHECK(done.size() == 14);
  CHECK(done.back() == 14);
  CHECK(m.scale.storage().data(0) == m.scale.storage().data(3));
  CHECK(m.embed.storage().data(0) == m.embed.storage().data(2));
  CHECK(m.embed.storage().data(0) != m.embed.storage().data(1));
}

namespace {

/// One matrix [K, N] = [140, 130], of a file [130, 140] in any element type.
template <class M, class E>
struct OneMatrix {
  Param<M, packed<E>, Shape<140, 130>, P<model, None>> w{};
  template <class F>
  void parameters(F&& f) {
    f(nn::Scope("w"), w);
  }
};
const Names one_matrix = {{"w", "weight", {130, 140}, out_in}};

template <class E, class M = Grid>
std::vector<f32> matrix_of_file(const std::vector<NamedArray>& arrays) {
  const TemporaryFolder folder;
  write_safetensors(folder / "model.safetensors", arrays);
  OneMatrix<M, E> m;
  Host dev;
  load_model(dev, m, SafetensorsCheckpoint(folder.path()), one_matrix);
  return to_vector(m.w);
}
std::vector<f32> turned(const std::vector<f32>& file) {
  std::vector<f32> all(file.size());
  for (std::size_t i = 0; i < all.size(); ++i) all[i] = file[i % 130 * 140 + i / 130];
  return all;
}

}  // namespace

TEST_CASE_TEMPLATE("every element type of a file becomes the same parameter", E, f32, bf16) {
  const auto expected = turned(numbers({130, 140}));
  CHECK(matrix_of_file<E>({tensor("weight", {130, 140})}) == expected);
  CHECK(matrix_of_file<E>({tensor<bf16>("weight", {130, 140}, DType::bf16)}) == expected);
  CHECK(matrix_of_file<E>({tensor<f64>("weight", {130, 140}, DType::f64)}) == expected);
  std::vector<std::uint16_t> halves;
  for (const f32 x : numbers({130, 140})) {  // |x| <= 16 is an integer: exponent e, 10 bits behind the leading one
    const auto n = static_cast<unsigned>(std::abs(x));
    unsigned e = 0;
    while (n >> (e + 1)) ++e;
    halves.push_back(
        static_cast<std::uint16_t>((x < 0 ? 0x8000u : 0u) | (n ? (e + 15) << 10 | ((n << (10 - e)) & 0x3ffu) : 0u)));
  }
  CHECK(matrix_of_file<E>({{"weight", array_of(DType::f16, {130, 140}, halves)}}) == expected);
}

TEST_CASE_TEMPLATE("8-bit weights times the scale of their block of 128 x 128", M, One, Row, Grid) {
  std::vector<std::uint8_t> bytes;
  for (index_t i = 0; i < 130 * 140; ++i)
    bytes.push_back(static_cast<std::uint8_t>(i * 37 % 254 < 127 ? i * 37 % 254 : i * 37 % 254 + 1));
  const NamedArray weight{"weight", array_of(DType::f8_e4m3, {130, 140}, bytes)},
      scales{"weight_scale_inv", array_of(DType::f32, {2, 2}, std::vector<f32>{0.3f, 2, -5, 0.001f})};
  const auto whole = values_as<f32>(dequantized("", weight.array, scales.array));
  CHECK(matrix_of_file<f32, M>({weight, scales}) == turned(whole));
  auto rounded = turned(whole);
  for (f32& x : rounded) x = bf16(x);
  CHECK(matrix_of_file<bf16, M>({weight, scales}) == rounded);
}

TEST_CASE("numbers are rounded once, also from f64 to bf16") {
  std::vector<f64> values(130 * 140,
                          1 + 0x1p-8 + 0x1p-40);  // above the middle of 1 and the next bf16, by less than an f32 sees
  values[1] = 1 + 0x1p-8 - 0x1p-40, values[2] = -values[0], values[3] = 1 + 0x1p-8;
  const auto read = matrix_of_file<bf16, One>({{"weight", array_of(DType::f64, {130, 140}, values)}});
  CHECK(read[0] == 1 + 0x1p-7f);
  CHECK(read[130] == 1);
  CHECK(read[260] == -(1 + 0x1p-7f));
  CHECK(read[390] == 1);  // a tie, to even
}

TEST_CASE("a file without exactly the tensors of the model: all counted, the first named") {
  auto arrays = checkpoint();
  SUBCASE("missing") {
    arrays.erase(arrays.begin(), arrays.begin() + 2);
    Model<One> m;
    const std::string message = load(m, arrays);
    CHECK(contains(message, "model.safetensors: 2 tensors are missing: 'embed', '3.q'."));
    CHECK(is_short(message));
  }
  SUBCASE("too many") {
    for (int i = 0; i < 5; ++i) arrays.push_back(tensor("extra." + std::to_string(i), {1}));
    Model<One> m;
    CHECK(contains(load(m, arrays), "5 tensors are of no parameter: 'extra.0', 'extra.1', 'extra.2', …."));
  }
  SUBCASE("another name") {
    find(arrays, "3.o").name = "3.wo";
    Model<One> m;
    CHECK(contains(load(m, arrays), "1 tensor is missing: '3.o'; 1 tensor is of no parameter: '3.wo'."));
  }
  SUBCASE("an expert among the counted ones") {
    find(arrays, "3.e.1.down").name = "3.e.9.down";
    Model<One> m;
    CHECK(contains(load(m, arrays), "are of no parameter: '3.e.2.down', '3.e.3.down', '3.e.9.down'"));
  }
  SUBCASE("of experts whose number the type knows") {
    find(arrays, "3.e.3.up").name = "3.inv_freq.3";
    Model<One> m;
    Names table = names;
    table.push_back({unused, "3.inv_freq.3"});
    CHECK(contains(load(m, arrays, table), "1 tensor is missing: '3.e.3.up'"));
  }
}

namespace {
struct Crowd {
  Param<One, packed<f32>, Shape<dyn, 2, 2>, P<None, None, None>> a{}, b{};
  template <class F>
  void parameters(F&& f) {
    f(nn::Scope("a"), a), f(nn::Scope("b"), b);
  }
};
}  // namespace

TEST_CASE("a table that names more tensors than memory holds is given up early") {
  Crowd m;
  const index_t many = 150'000;
  const Names table = {{"a", "a.{}", {many, 2, 2}}, {"b", "b.{}", {many, 2, 2}}};
  const TemporaryFolder folder;
  write_safetensors(folder / "model.safetensors", {tensor("x", {1})});
  Host dev;
  const std::string message = error_of([&] { load_model(dev, m, SafetensorsCheckpoint(folder.path()), table); });
  CHECK(contains(message, "model.safetensors: at least 150000 tensors are missing: 'a.0', 'a.1', 'a.2', …."));
  CHECK(is_short(message));
}

TEST_CASE("a wrong shape or element type: tensor, byte, expected and found") {
  auto arrays = checkpoint();
  Model<One> m;
  SUBCASE("transposed") {
    find(arrays, "3.o") = tensor("3.o", {24, 16});
    const std::string message = load(m, arrays);
    CHECK(contains(message, "model.safetensors: tensor '3.o' (byte "));
    CHECK(contains(message, ") should be [16, 24], found f32[24, 16]."));
    CHECK(is_short(message));
  }
  SUBCASE("rank") {
    find(arrays, "3.norm") = tensor("3.norm", {8, 1});
    CHECK(contains(load(m, arrays), "should be [8], found f32[8, 1]"));
  }
  SUBCASE("integers for weights") {
    find(arrays, "3.norm") = tensor<i32>("3.norm", {8}, DType::i32);
    CHECK(contains(load(m, arrays), "tensor '3.norm'"));
    CHECK(contains(load(m, arrays), "should be f32, bf16, f16, f64 or f8_e4m3 [8], found i32[8]"));
  }
  SUBCASE("weights for integers") {
    find(arrays, "3.ids") = tensor("3.ids", {8});
    CHECK(contains(load(m, arrays), "should be i32 [8], found f32[8]"));
  }
  SUBCASE("several") {
    find(arrays, "3.o") = tensor("3.o", {24, 16}), find(arrays, "3.norm") = tensor("3.norm", {9});
    CHECK(contains(load(m, arrays), "tensor '3.o'"));
    CHECK(contains(load(m, arrays), "Of such tensors there are 2."));
  }
}

TEST_CASE("8-bit weights want their scales") {
  const NamedArray weight{"weight", array_of(DType::f8_e4m3, {130, 140}, std::vector<std::uint8_t>(130 * 140, 0x38))};
  const auto refused = [&](std::vector<NamedArray> arrays) { return error_of([&] { matrix_of_file<f32>(arrays); }); };
  CHECK(contains(refused({weight}), "1 tensor is missing: 'weight_scale_inv'."));
  CHECK(contains(refused({weight, tensor("weight_scale_inv", {2, 1})}), "scales f32[2, 1] do not belong together"));
  CHECK(contains(refused({weight, tensor<bf16>("weight_scale_inv", {2, 2}, DType::bf16)}), "do not belong together"));
  CHECK(contains(refused({tensor("weight", {130, 140}), tensor("weight_scale_inv", {2, 2})}),
                 "1 tensor is of no parameter"));
  const f32 nan = std::numeric_limits<f32>::quiet_NaN();
  CHECK(contains(refused({weight, {"weight_scale_inv", array_of(DType::f32, {2, 2}, std::vector<f32>{1, 1, nan, 1})}}),
                 "tensor 'weight_scale_inv' (byte "));
}

TEST_CASE("NaN and infinite weights: where, in every element type") {
  const f32 infinity = std::numeric_limits<f32>::infinity(), nan = std::numeric_limits<f32>::quiet_NaN();
  const auto refused = [](DType dtype, auto values) {
    return error_of([&] { matrix_of_file<f32>({{"weight", array_of(dtype, {130, 140}, std::move(values))}}); });
  };
  const auto with = [](auto x, auto bad, std::size_t at) {
    std::vector<decltype(x)> values(130 * 140, x);
    values[at] = bad;
    return values;
  };
  const std::string message = refused(DType::f32, with(1.0f, nan, 140 * 17 + 5));
  CHECK(contains(message, "tensor 'weight' (byte "));
  CHECK(contains(message, "holds NaN, an infinity or a number far too large at [17, 5]."));
  CHECK(is_short(message));
  CHECK(contains(refused(DType::f32, with(1.0f, -infinity, 0)), "at [0, 0]"));
  CHECK(contains(refused(DType::bf16, with(bf16(1), bf16(nan), 130 * 140 - 1)), "at [129, 139]"));
  CHECK(contains(refused(DType::f16, with(std::uint16_t{0x3c00}, std::uint16_t{0xfc00}, 139)), "at [0, 139]"));
  CHECK(contains(refused(DType::f64, with(1.0, std::numeric_limits<f64>::quiet_NaN(), 140)), "at [1, 0]"));
  const NamedArray scales = tensor("weight_scale_inv", {2, 2});
  CHECK(contains(error_of([&] {
                   matrix_of_file<f32>(
                       {{"weight", array_of(DType::f8_e4m3, {130, 140}, with(std::uint8_t{1}, std::uint8_t{0xff}, 3))},
                        scales});
                 }),
                 "at [0, 3]"));
  CHECK(refused(DType::f32, with(1.0f, 1.7e38f, 7)) == "");
  CHECK(contains(refused(DType::f32, with(1.0f, std::numeric_limits<f32>::max(), 7)), "at [0, 7]"));  // no bf16
  CHECK(contains(refused(DType::f64, with(1.0, -1e39, 7)), "at [0, 7]"));
}

TEST_CASE("a wrong file leaves the model as it was") {
  Model<Grid> m;
  REQUIRE(load(m, checkpoint()) == "");
  auto arrays = checkpoint();
  for (NamedArray& a : arrays)
    if (a.array.dtype == DType::f32)
      a.array = array_of(DType::f32, a.array.shape, std::vector<f32>(static_cast<std::size_t>(a.array.elements()), 9));
  find(arrays, "3.ids") = tensor<i32>("3.ids", {8}, DType::i32);
  find(arrays, "3.m").array =
      array_of(DType::f64, {2, 3, 4}, std::vector<f64>(24, std::numeric_limits<f64>::infinity()));
  CHECK(contains(load(m, arrays), "tensor '3.m'"));
  CHECK(holds(m.scale, number));
  CHECK(holds(m.output, [](index_t k, index_t n) { return number(k * 24 + n); }));
}

TEST_CASE("a table that does not agree with the model's type, or has no row for a parameter") {
  Model<One> m;
  Names table = names;
  table[2].shape = {16, 48};
  CHECK(contains(load(m, checkpoint(), table),
                 "[names] layers_3/output/w: the model's type says [16, 24], the table of names [16, 48]"));
  table = names;
  table[7].layout = columns(0, 2);
  CHECK(contains(load(m, checkpoint(), table), "[names] tensor '3.gate_up': 384 of its elements are of no parameter"));
  table = names;
  table.erase(table.begin());
  CHECK(contains(load(m, checkpoint(), table), "no row of the table fits the parameter embed/embeddings"));
}

namespace {
struct Tied {
  Param<Grid, bf16, Shape<20, 8>, P<None, model>> embed{};
  Param<Grid, packed<bf16>, Shape<8, 20>, P<None, model>> head{};
  template <class F>
  void parameters(F&& f) {
    f(nn::Scope("embed"), embed), f(nn::Scope("head"), head);
  }
};
}  // namespace

TEST_CASE("one tensor may serve two parameters") {
  Tied m;
  const TemporaryFolder folder;
  write_safetensors(folder / "model.safetensors", {tensor("e", {20, 8})});
  Host dev;
  load_model(dev, m, SafetensorsCheckpoint(folder.path()), {{"embed", "e", {20, 8}}, {"head", "e", {20, 8}, out_in}});
  CHECK(holds(m.embed, [](index_t v, index_t h) { return number(v * 8 + h); }));
  CHECK(holds(m.head, [](index_t h, index_t v) { return number(v * 8 + h); }));
}
