// my_moe: the bill of a model that exists nowhere, and eight tokens of it, on three meshes.
// SPDX-License-Identifier: Apache-2.0
#include <array>
#include <cstdio>

#include <tess/device/dry.hpp>
#include <tess/generate/runner.hpp>
#include <tess/io/init_model.hpp>

#include "my_moe.hpp"

namespace {

using namespace my;

constexpr index_t batch = 4, capacity = 64;
const std::vector<i32> prompt = {3, 14, 159, 26, 5};

// [quote:bill]
/// What `tokens` new tokens of each of four sequences cost one device.
template <AnyMesh M>
constexpr Cost bill(index_t tokens) {
  using Model = typename MoE<M, Dry>::Model;
  Dry dev;
  const Model lm;
  auto memory = lm.init_memory(dev, batch, capacity);
  std::array<Segment, batch> rows;
  for (index_t b = 0; b < batch; ++b) rows[static_cast<std::size_t>(b)] = {b, 0, tokens};
  const auto ids = make<typename Model::Tokens>(dev, Extents<Shape<dyn, dyn>>{batch, tokens});
  (void)lm(dev, ids, memory, Segments(rows.data(), batch));
  return dev.cost;
}

using One = Mesh<Axis<data, 1>, Axis<model, 1>>;
using Row = Mesh<Axis<data, 1>, Axis<model, 4>>;
using Grid = Mesh<Axis<data, 2>, Axis<model, 2>>;
static_assert(bill<One>(1).collectives == 0);
static_assert(bill<Row>(1).collectives == 1 + MoE<Row, Dry>::layers + 1);  // embedding, one a layer, logits
// [/quote]

// [quote:run]
/// Four continuations by a model of random weights, which are the same on every mesh.
template <AnyMesh M>
std::vector<generate::Generated> run() {
  Host dev;
  typename MoE<M, Host>::Model lm;
  io::init_model(dev, lm, 42);
  std::vector<generate::Request> requests;
  for (index_t b = 0; b < batch; ++b) {
    requests.push_back({.prompt = prompt, .max_tokens = 8, .settings = {.temperature = 0}});
    requests.back().prompt.push_back(static_cast<i32>(b));
  }
  return generate::Runner(dev, lm, batch, capacity).generate(requests);
}
// [/quote]

template <AnyMesh M>
void print_bill(const char* mesh) {
  for (const index_t tokens : {index_t{32}, index_t{1}}) {
    const Cost cost = bill<M>(tokens);
    std::printf("%-6s %-18s %12td %10td %12td %12td\n", mesh, tokens == 1 ? "decode, 4 x 1" : "prefill, 4 x 32",
                cost.collectives, cost.bytes, cost.flops, cost.peak_bytes);
  }
}

}  // namespace

int main() {
  std::printf("%-6s %-18s %12s %10s %12s %12s   of one device\n", "mesh", "tokens", "collectives", "bytes", "FLOPs",
              "peak bytes");
  print_bill<One>("1x1");
  print_bill<Row>("1x4");
  print_bill<Grid>("2x2");

  const auto one = run<One>(), row = run<Row>(), grid = run<Grid>();
  bool equal = true;
  std::printf("\n");
  for (std::size_t b = 0; b < one.size(); ++b) {
    std::printf("sequence %zu:", b);
    for (const i32 token : one[b].tokens) std::printf(" %d", token);
    std::printf("\n");
    equal = equal && one[b].tokens == row[b].tokens && one[b].tokens == grid[b].tokens;
  }
  std::printf("The same tokens on all three meshes: %s\n", equal ? "yes" : "no");
  return equal ? 0 : 1;
}
