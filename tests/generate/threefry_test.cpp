// JAX's random numbers: the published vectors of Threefry, and keys, bytes and Gumbel noise that JAX 0.4.25 printed.
// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <array>
#include <cfloat>
#include <cmath>
#include <cstdint>
#include <vector>

#include <tess/device/threefry.hpp>

namespace generate = tess::generate;
using tess::generate::Key;

// The known answers of Random123 (kat_vectors, threefry2x32 20).
static_assert(generate::threefry2x32({0, 0}, 0, 0) == std::array<std::uint32_t, 2>{0x6b200159, 0x99ba4efe});
static_assert(generate::threefry2x32({0xffffffff, 0xffffffff}, 0xffffffff, 0xffffffff) ==
              std::array<std::uint32_t, 2>{0x1cb996fc, 0xbb002be7});
static_assert(generate::threefry2x32({0x13198a2e, 0x03707344}, 0x243f6a88, 0x85a308d3) ==
              std::array<std::uint32_t, 2>{0xc4923a9c, 0x483df7a0});

// Without 64-bit mode JAX keeps the low 32 bits of a seed.
static_assert(generate::prng_key(42) == Key{0, 42});
static_assert(generate::prng_key((std::uint64_t{1} << 33) + 5) == Key{0, 5});

static_assert(generate::split(generate::prng_key(42)).first == Key{0x92fb20ea, 0xdb4c98db});
static_assert(generate::split(generate::prng_key(42)).second == Key{0x0f38d913, 0x0ff68959});

TEST_CASE("request keys are those of the reference's runner: one of the prefill, one a step") {
  generate::RequestKeys keys(42);
  CHECK(keys.next() == Key{0x0f38d913, 0x0ff68959});
  CHECK(keys.next() == Key{0xe9da9d44, 0x51726399});
  CHECK(keys.next() == Key{0x51c2327a, 0xb378c7bd});
  CHECK(keys.next() == Key{0x3c44d6a2, 0x6d114ffd});
}

TEST_CASE("random bytes: even and odd numbers of counters, and a last word cut off") {
  const Key key = generate::split(generate::prng_key(42)).second;
  struct Printed {
    tess::index_t count;
    std::vector<std::uint8_t> bytes;
  };
  const std::vector<Printed> printed = {
      {1, {0x08}},
      {4, {0x08, 0x80, 0x21, 0xea}},
      {5, {0x0a, 0x30, 0xbb, 0xf4, 0x15}},
      {9, {0xdb, 0xea, 0x00, 0x49, 0x7a, 0x6c, 0xa8, 0x9c, 0x41}},
      {13, {0xdb, 0xea, 0x00, 0x49, 0x32, 0x3f, 0xe5, 0xcf, 0x41, 0x91, 0xf7, 0x2c, 0xb1}},
      {16, {0xdb, 0xea, 0x00, 0x49, 0x32, 0x3f, 0xe5, 0xcf, 0x41, 0x91, 0xf7, 0x2c, 0xb1, 0xdc, 0xac, 0xed}}};
  for (const auto& p : printed) {
    CAPTURE(p.count);
    std::vector<std::uint8_t> bytes;
    generate::random_bytes(key, p.count, bytes);
    CHECK(bytes == p.bytes);
  }
}

TEST_CASE("random bytes for Grok-1's vocabulary") {
  std::vector<std::uint8_t> bytes;
  generate::random_bytes(generate::prng_key(7), 131072, bytes);
  std::uint64_t sum = 0;
  for (std::size_t i = 0; i < bytes.size(); ++i) sum += bytes[i] * (i % 251 + 1);
  CHECK(sum == 2102620104u);
}

TEST_CASE("Gumbel noise: all 128 values of bfloat16") {
  constexpr std::uint16_t printed[128] = {
      0xc08f, 0xbfca, 0xbfb6, 0xbfa9, 0xbf9f, 0xbf97, 0xbf8f, 0xbf89, 0xbf83, 0xbf7a, 0xbf70, 0xbf66, 0xbf5d,
      0xbf54, 0xbf4b, 0xbf43, 0xbf3b, 0xbf34, 0xbf2c, 0xbf25, 0xbf1e, 0xbf18, 0xbf11, 0xbf0a, 0xbf04, 0xbefb,
      0xbeef, 0xbee2, 0xbed6, 0xbeca, 0xbebf, 0xbeb3, 0xbea7, 0xbe9c, 0xbe90, 0xbe85, 0xbe74, 0xbe5d, 0xbe47,
      0xbe31, 0xbe1b, 0xbe05, 0xbdde, 0xbdb2, 0xbd86, 0xbd36, 0xbcbd, 0xbaf7, 0x3c9f, 0x3d26, 0x3d7d, 0x3daa,
      0x3dd6, 0x3e01, 0x3e17, 0x3e2d, 0x3e43, 0x3e59, 0x3e6f, 0x3e83, 0x3e8e, 0x3e99, 0x3ea5, 0x3eb0, 0x3ebc,
      0x3ec7, 0x3ed3, 0x3edf, 0x3eeb, 0x3ef6, 0x3f01, 0x3f07, 0x3f0e, 0x3f14, 0x3f1a, 0x3f20, 0x3f27, 0x3f2d,
      0x3f34, 0x3f3b, 0x3f41, 0x3f48, 0x3f4f, 0x3f56, 0x3f5d, 0x3f65, 0x3f6c, 0x3f74, 0x3f7b, 0x3f82, 0x3f86,
      0x3f8a, 0x3f8e, 0x3f92, 0x3f96, 0x3f9b, 0x3f9f, 0x3fa4, 0x3fa9, 0x3fae, 0x3fb3, 0x3fb8, 0x3fbe, 0x3fc3,
      0x3fc9, 0x3fcf, 0x3fd6, 0x3fdc, 0x3fe3, 0x3fea, 0x3ff2, 0x3ff9, 0x4001, 0x4005, 0x400a, 0x400f, 0x4014,
      0x401a, 0x4021, 0x4028, 0x402f, 0x4038, 0x4042, 0x404e, 0x405d, 0x406f, 0x4085, 0x409b};
  int rounded_twice = 0;  // a rounding between the two logarithms would show
  for (unsigned i = 0; i < 128; ++i) {
    CAPTURE(i);
    CHECK(generate::gumbel_bf16()[i].bits == printed[i]);
    const float inner = tess::bf16(static_cast<float>(-std::log(i == 0 ? double{FLT_MIN} : i / 128.0)));
    rounded_twice += tess::bf16(-std::log(inner)).bits != printed[i];
  }
  CHECK(rounded_twice > 40);
}
