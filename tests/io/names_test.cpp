// A table of names: which tensors a parameter is made of, where its elements lie in them, and what a table cannot say.
// SPDX-License-Identifier: Apache-2.0
#include "tess/io/names.hpp"

#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "support/files.hpp"

using namespace tess;
using namespace tess::io;
using namespace tess::test;

namespace {
using Shape = std::vector<index_t>;
const Names names = {
    {"embed/embeddings", "model.embed_tokens.weight", {256, 64}},
    {"layers_{}/attention/query/w", "model.layers.{}.self_attn.q_proj.weight", {96, 64}, out_in},
    {"layers_0/feed_forward/up/w", "model.layers.0.mlp.up_proj.weight", {80, 64}, out_in},
    {"layers_{}/feed_forward/up/w", "model.layers.{}.mlp.up_proj.weight", {40, 64}, out_in},
    {"layers_{}/experts/up/w", "model.layers.{}.mlp.experts.{}.up_proj.weight", {8, 48, 64}, out_in},
    {"layers_{}/experts/down/w", "model.layers.{}.mlp.experts.{}.down_proj.weight", {64, 48}, out_in},
    {unused, "model.layers.{}.rotary_emb.inv_freq"},
    {unused, "model.layers.61.*"},
};
index_t nobody(const std::string&) { throw std::logic_error("the shape says how many"); }
Named find(const std::string& path, int rank) { return find_name(names, path, rank, nobody); }
}  // namespace

TEST_CASE("a number in the path stands in the name again") {
  const Named q = find("layers_12/attention/query/w", 2);
  CHECK(q.tensors == std::vector<std::string>{"model.layers.12.self_attn.q_proj.weight"});
  CHECK(q.tensor_shape == Shape{96, 64});
  CHECK(q.shape == Shape{64, 96});
  CHECK(q.stride(0) == 1);
  CHECK(q.stride(1) == 64);
  CHECK_FALSE(q.is_whole());
  CHECK(find("embed/embeddings", 2).is_whole());
}

TEST_CASE("one {} more counts the tensors: as the shape says, or else whoever is asked") {
  const Named up = find("layers_3/experts/up/w", 3);
  REQUIRE(up.tensors.size() == 8);
  CHECK(up.tensors[7] == "model.layers.3.mlp.experts.7.up_proj.weight");
  CHECK(up.tensor_shape == Shape{48, 64});
  CHECK(up.shape == Shape{8, 64, 48});
  CHECK(up.tensor(5) == 5);
  CHECK(up.stride(0) == 0);

  std::string asked;
  const Named down = find_name(names, "layers_3/experts/down/w", 3, [&](const std::string& tensor) {
    asked = tensor;
    return index_t{2};
  });
  CHECK(asked == "model.layers.3.mlp.experts.{}.down_proj.weight");
  CHECK(down.shape == Shape{2, 48, 64});
}

TEST_CASE("the first row that fits counts") {
  CHECK(find("layers_0/feed_forward/up/w", 2).shape == Shape{64, 80});
  CHECK(find("layers_1/feed_forward/up/w", 2).shape == Shape{64, 40});
}

TEST_CASE("tensors without use: {} is a number, * is anything") {
  CHECK(is_unused(names, "model.layers.3.rotary_emb.inv_freq"));
  CHECK(is_unused(names, "model.layers.61.mlp.experts.3.up_proj.weight"));
  CHECK_FALSE(is_unused(names, "model.layers.6.mlp.up_proj.weight"));
  CHECK_FALSE(is_unused(names, "model.layers.x.rotary_emb.inv_freq"));
  CHECK_FALSE(is_unused(names, "model.embed_tokens.weight"));  // it has a row, but that of a parameter
}

TEST_CASE("layouts: which element of the file is element (i, j, k) of the parameter") {
  const auto at = [](const Strided& s, Shape indices) {
    index_t e = s.first;
    for (std::size_t d = 0; d < indices.size(); ++d) e += indices[d] * s.stride[d];
    return e;
  };
  SUBCASE("every second column") {  // [4, 6]
    const Strided s = lay_out(columns(1, 2), {4, 6}, "");
    CHECK(s.shape == Shape{4, 3});
    CHECK(at(s, {2, 1}) == 2 * 6 + 3);
    CHECK(at(lay_out(transposed(columns(1, 2)), {4, 6}, ""), {1, 2}) == 2 * 6 + 3);
  }
  SUBCASE("rows of blocks") {  // [3 · (2 + 5), 4]
    const Strided keys = lay_out(block_rows(3, 0, 2), {21, 4}, ""), values = lay_out(block_rows(3, 2, 5), {21, 4}, "");
    CHECK(keys.shape == Shape{3, 2, 4});
    CHECK(values.shape == Shape{3, 5, 4});
    CHECK(at(keys, {1, 1, 3}) == (7 + 1) * 4 + 3);
    CHECK(at(values, {2, 4, 0}) == (14 + 2 + 4) * 4);
    const Strided turned = lay_out(transposed(block_rows(3, 2, 5)), {21, 4}, "");
    CHECK(turned.shape == Shape{3, 4, 5});
    CHECK(at(turned, {2, 3, 4}) == (14 + 2 + 4) * 4 + 3);
  }
  CHECK(transposed(transposed(same)) == same);
}

TEST_CASE("what a table cannot say is one error, with the row") {
  const auto refused = [](Name row, const std::string& path, int rank) {
    return error_of([&] { find_name({row}, path, rank, nobody); });
  };
  CHECK(contains(refused({"a", "b", {1}}, "c", 1), "no row of the table fits the parameter c"));
  CHECK(contains(refused({"a_{}", "b", {1}}, "a_1", 1), "b: has fewer {} than its parameter, a_{}"));
  CHECK(contains(refused({"a", "b.{}.{}", {2, 1, 1}}, "a", 3), "b.{}.{}: has two {} more than its parameter, a"));
  CHECK(contains(refused({"a", "b", {1, 2}}, "a", 3), "a: has 3 dimensions, but [1, 2] in the table"));
  CHECK(contains(refused({"a", "b.{}", {2}}, "a", 1), "b.{}: counted tensors have dimensions"));
  CHECK(contains(refused({"a", "b", {2}, out_in}, "a", 1), "[2] has no two dimensions to exchange"));
  CHECK(contains(refused({"a", "b", {2, 5}, columns(0, 2)}, "a", 2), "[2, 5] has no columns 0, 0 + 2"));
  CHECK(contains(refused({"a", "b", {9, 5}, block_rows(2, 0, 4)}, "a", 3), "[9, 5] has no 2 blocks with rows 0 to 4"));
  CHECK(contains(refused({"a", "b", {8, 5}, block_rows(2, 1, 4)}, "a", 3), "[8, 5] has no 2 blocks with rows 1 to 5"));
}

TEST_CASE("a table of names counts no elements that are no number") {
  CHECK_THROWS_WITH_AS(lay_out(out_in, {index_t{1} << 32, index_t{1} << 32}, "w"),
                       "[names] w: the shape [4294967296, 4294967296] is larger than any file", Error);
  const Names large = {{"w", "w.{}", {4096, index_t{1} << 24, index_t{1} << 24}}};
  const index_t open[] = {dyn, dyn, dyn};
  CHECK_THROWS_WITH_AS(named_shape(large, "w", open),
                       "[names] w: the shape [4096, 16777216, 16777216] is larger than any file.", Error);
}

TEST_CASE("parameters take every element of a tensor once, or some stay missing") {
  const auto missing = [](const Shape& shape, const std::vector<Layout>& layouts) {
    Coverage c;
    for (const Layout& l : layouts) (void)c.add(shape, lay_out(l, shape, ""), l);
    return c.missing();
  };
  CHECK(missing({12, 6}, {same, out_in}) == 0);  // tied
  CHECK(missing({12, 6}, {columns(0, 2), columns(1, 2), same}) == 0);
  CHECK(missing({12, 6}, {columns(0, 2), same}) == 36);
  CHECK(missing({12, 6}, {columns(0, 2), columns(1, 3)}) == 36);
  CHECK(missing({12, 6}, {block_rows(3, 0, 1), transposed(block_rows(3, 1, 3))}) == 0);
  CHECK(missing({12, 6}, {block_rows(3, 0, 2), block_rows(3, 1, 2)}) == 36);  // row 1 twice, row 3 never
  CHECK(missing({12, 6}, {block_rows(3, 0, 2), block_rows(2, 2, 3)}) == 36);
  Coverage c;
  CHECK(c.add({4}, lay_out(columns(1, 2), {4}, ""), columns(1, 2)));
  CHECK_FALSE(c.add({4}, lay_out(columns(1, 2), {4}, ""), columns(1, 2)));
  CHECK(c.add({4}, lay_out(columns(0, 2), {4}, ""), columns(0, 2)));
}
