// apply: any function of elements, over any length, in place or between types, on every instruction set.
// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>
#include <tess/device/host/apply.hpp>

#include <vector>

using namespace tess;
using namespace tess::host;

TEST_CASE("apply.takes_any_length_in_place_and_several_operands") {
  const Cpu before = cpu();
  for (const Cpu& isa : available_cpus()) {
    use_cpu(isa);
    CAPTURE(name(isa));
    for (const index_t n : {0, 1, 63, 64, 65, 200}) {
      std::vector<f32> x(static_cast<std::size_t>(n + 1)), y(x.size());
      for (std::size_t i = 0; i < x.size(); ++i) x[i] = static_cast<f32>(i), y[i] = 2 * static_cast<f32>(i);
      const f32 beyond = x.back();
      apply([](f32 a, f32 b) { return a * b + 1; }, x.data(), n, static_cast<const f32*>(x.data()),
            static_cast<const f32*>(y.data()));
      for (index_t i = 0; i < n; ++i) REQUIRE(x[static_cast<std::size_t>(i)] == 2 * static_cast<f32>(i * i) + 1);
      CHECK(x.back() == beyond);
    }
  }
  use_cpu(before);
}

TEST_CASE("apply.rounds_once_to_the_type_of_the_result") {
  const bf16 x(0.1f);
  bf16 y;
  apply([](f32 v) { return v * 3; }, &y, 1, &x);
  CHECK(y.bits == bf16(static_cast<f32>(x) * 3).bits);
}
