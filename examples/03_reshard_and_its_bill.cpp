// Tutorial 3, a reshard and its bill: its collectives are a type, its bytes a constant, and Host counts the same.
// SPDX-License-Identifier: Apache-2.0
#include <cstdio>
#include <string>
#include <tess/device/trace.hpp>
#include <tess/io/fill.hpp>
#include <tess/ops/reshard.hpp>
#include <tess/sharding/spec_text.hpp>
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

// ---- one line of the table: the plan in words, its bill, and what really moved

template <class A, int D>
std::string words(Slice<A, D>) {
  return "slice " + std::string(type_name<A>());
}
template <class A, int D>
std::string words(AllGather<A, D>) {
  return "all-gather " + std::string(type_name<A>());
}
template <class A, int F, int T>
std::string words(AllToAll<A, F, T>) {
  return "all-to-all " + std::string(type_name<A>());
}
template <class A>
std::string words(AllReduce<A>) {
  return "all-reduce " + std::string(type_name<A>());
}
template <class A, int D>
std::string words(ReduceScatter<A, D>) {
  return "reduce-scatter " + std::string(type_name<A>());
}
template <class... S>
std::string words(Steps<S...>) {
  std::string all;
  ((all += (all.empty() ? "" : ", ") + words(S{})), ...);
  return all;
}

bool all_equal = true;

template <AnySpec From, AnySpec To>
void line() {
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
  std::printf("%-29s -> %-14s %-48s %6td %6td\n", spec_text<Grid>(spec_value<From, Grid, 2>).c_str(),
              spec_text<Grid>(spec_value<To, Grid, 2>).c_str(), words(reshard_plan<Matrix, From, To, Grid>{}).c_str(),
              promised.bytes, dev.traffic().most_bytes());
}

}  // namespace

int main() {
  std::printf("f32 [64, 64] on Mesh<Axis<data, 2>, Axis<model, 4>>; bytes that one device receives\n\n");
  std::printf("%-29s    %-14s %-48s %6s %6s\n", "from", "to", "plan", "bill", "moved");
  line<P<model, None>, P<None, model>>();
  line<P<data, model>, P<data, None>>();
  line<P<data, model>, P<None, None>>();
  line<P<None, None>, P<data, model>>();
  line<P<data, None>, P<None, model>>();
  line<P<data, None, Partial<model>>, P<data, None>>();
  line<P<data, None, Partial<model>>, P<data, model>>();
  line<P<None, None, Partial<model>>, P<None, None>>();
  std::printf("\nEvery bill was exact, and every value arrived: %s\n", all_equal ? "yes" : "no");
  return all_equal ? 0 : 1;
}
