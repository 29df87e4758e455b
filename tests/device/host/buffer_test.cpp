// Buffer: aligned, zeroed, movable, small and in huge pages.
// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>
#include <tess/device/host/buffer.hpp>

#include <cstdint>
#include <limits>

using namespace tess;
using namespace tess::host;

TEST_CASE("buffer.is_aligned_zeroed_and_movable") {
  for (const index_t bytes :
       {index_t{1}, index_t{65}, (index_t{2} << 20) - 1, index_t{2} << 20, (index_t{5} << 20) + 3}) {
    Buffer a(bytes);
    CHECK(a.size() == bytes);
    CHECK(reinterpret_cast<std::uintptr_t>(a.data()) % 64 == 0);
    index_t nonzero = 0;
    for (index_t i = 0; i < bytes; ++i) nonzero += a.data()[i] != std::byte{0};
    CHECK(nonzero == 0);
    a.data()[bytes - 1] = std::byte{7};
    std::byte* const data = a.data();
    Buffer b(std::move(a));
    CHECK(b.data() == data);
    Buffer c;
    c = std::move(b);
    CHECK(c.data()[bytes - 1] == std::byte{7});
  }
  CHECK(Buffer(0).data() == nullptr);
}

TEST_CASE("buffer.too_large_is_an_error") { CHECK_THROWS_AS(Buffer(std::numeric_limits<index_t>::max() / 4), Error); }

TEST_CASE("scratch.grows_and_is_one_for_each_use") {
  struct A;
  struct B;
  std::byte* const a = scratch<A>(100);
  CHECK(scratch<A>(50) == a);
  CHECK(scratch<B>(50) != a);
  scratch<A>(1 << 22)[(1 << 22) - 1] = std::byte{1};
}
