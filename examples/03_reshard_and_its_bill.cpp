// Tutorial 3, a reshard and its bill: its collectives are a type, its bytes a constant, and Host counts the same.
// SPDX-License-Identifier: Apache-2.0
#include <cstdio>
#include <tess/comm/plan_picture.hpp>
#include <tess/device/trace.hpp>
#include <tess/io/fill.hpp>
#include <tess/io/visualize.hpp>
#include <tess/ops/reshard.hpp>
#include <type_traits>

namespace {

using namespace tess;

struct data;
struct model;

// [quote:plan]
using Grid = Mesh<Axis<data, 2>, Axis<model, 4>>;
using Matrix = Shape<64, 64>;

// From rows to columns over the same axis: one all-to-all, and not a gather.
static_assert(std::is_same_v<reshard_plan<Matrix, P<model, None>, P<None, model>, Grid>, Steps<AllToAll<model, 0, 1>>>);
// A pending sum whose result is to be sharded: a reduce-scatter, half the bytes of an all-reduce.
static_assert(std::is_same_v<reshard_plan<Matrix, P<data, None, Partial<model>>, P<data, model>, Grid>,
                             Steps<ReduceScatter<model, 1>>>);
// What a device already has, it keeps: no bytes.
static_assert(std::is_same_v<reshard_plan<Matrix, P<>, P<data, model>, Grid>, Steps<Slice<data, 0>, Slice<model, 1>>>);
// [/quote]

// [quote:bill]
/// Any program: here, a reshard of x to the spec To.
template <AnySpec To>
constexpr auto move = [](auto& dev, const auto& x) { return reshard<To>(dev, x); };

using X = ShardedTensor<f32, Matrix, Grid, P<model, None>>;  // no device named: a tensor of `Dry`, which stores nothing
constexpr Cost bill = trace(move<P<None, model>>, X{});
static_assert(bill.collectives == 1);
static_assert(bill.bytes ==
              16 / 4 * 64 * 4 * 3);  // of its 16 rows of 64 floats a device gets three quarters from the others
// [/quote]

// ---- the plan in words, and what really moved

bool all_equal = true;

template <AnySpec From, AnySpec To>
void show() {
  // [quote:counted]
  constexpr Cost promised = trace(move<To>, ShardedTensor<f32, Matrix, Grid, From>{});

  Host dev;
  ShardedTensor<f32, Matrix, Grid, From, Host> x;
  io::fill(dev, x, [](index_t i, index_t j) { return 64 * i + j; });
  const auto y = reshard<To>(dev, x);

  const bool bill_is_right =
      dev.traffic().collectives == promised.collectives && dev.traffic().most_bytes() == promised.bytes;
  const bool values_are_right = io::to_vector(y) == io::to_vector(x);
  // [/quote]
  all_equal = all_equal && bill_is_right && values_are_right;
  std::printf("%s%td B counted by Host\n\n", describe<Matrix, From, To, Grid>().c_str(), dev.traffic().most_bytes());
}

}  // namespace

int main() {
  std::printf("f32 [64, 64] on Mesh<Axis<data, 2>, Axis<model, 4>>\n\n");
  show<P<model, None>, P<None, model>>();
  show<P<data, model>, P<data, None>>();
  show<P<data, model>, P<None, None>>();
  show<P<None, None>, P<data, model>>();
  show<P<data, None>, P<None, model>>();
  show<P<data, None, Partial<model>>, P<data, None>>();
  show<P<data, None, Partial<model>>, P<data, model>>();
  show<P<None, None, Partial<model>>, P<None, None>>();
  std::printf("Every bill was exact, and every value arrived: %s\n\n", all_equal ? "yes" : "no");

  // [quote:pictures]
  // The last plan as pictures, one before it and one after each step.
  for (const Picture& p : plan_pictures<Matrix, P<None, None, Partial<model>>, P<None, None>, Grid>()) visualize(p);
  // [/quote]
  return all_equal ? 0 : 1;
}
