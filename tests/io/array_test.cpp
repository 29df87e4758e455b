// Sizes, names and values of arrays as they lie in files.
// SPDX-License-Identifier: Apache-2.0
#include "tess/io/array.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "support/files.hpp"

using namespace tess;
using namespace tess::io;
using namespace tess::test;

namespace {

std::optional<std::size_t> size(DType dtype, const std::vector<index_t>& shape) { return byte_size(dtype, shape); }

std::vector<double> values(DType dtype, const std::string& bytes) {
  return values_as<double>({dtype, {}, as_bytes(bytes), 0, nullptr});
}

}  // namespace

TEST_CASE("byte_size is the product, or nothing where it does not fit") {
  constexpr index_t huge = std::numeric_limits<index_t>::max();
  CHECK(size(DType::f32, {}) == 4);
  CHECK(size(DType::bf16, {8, 1, 32768}) == 524288);
  CHECK(size(DType::f32, {131072, 6144}) == 3221225472u);
  CHECK(size(DType::f64, {3, 0}) == 0);
  CHECK(size(DType::i8, {huge}) == static_cast<std::size_t>(huge));
  CHECK(!size(DType::bf16, {huge}));
  CHECK(!size(DType::i8, {huge, huge}));
  CHECK(!size(DType::i8, {index_t{1} << 32, index_t{1} << 31}));
  CHECK(!size(DType::i8, {2, -1}));
  CHECK(!size(DType::i8, {0, -1}));
  CHECK(!size(DType::i8, {0, huge, huge}));
}

TEST_CASE("describe names dtype and shape") {
  CHECK(describe({DType::i8, {8, 32, 176}, {}, 0, nullptr}) == "i8[8, 32, 176]");
  CHECK(describe({DType::boolean, {}, {}, 0, nullptr}) == "bool[]");
}

TEST_CASE("values_as reads every dtype at any alignment") {
  const std::vector<double> one_minus_two{1, -2};
  CHECK(values(DType::boolean, from_hex("00 01 ff")) == std::vector<double>{0, 1, 1});
  CHECK(values(DType::i8, from_hex("01 fe")) == one_minus_two);
  CHECK(values(DType::u8, from_hex("01 fe")) == std::vector<double>{1, 254});
  CHECK(values(DType::i16, from_hex("0100 feff")) == one_minus_two);
  CHECK(values(DType::u16, from_hex("0100 feff")) == std::vector<double>{1, 65534});
  CHECK(values(DType::f16, from_hex("003c 00c0")) == one_minus_two);
  CHECK(values(DType::bf16, from_hex("803f 00c0")) == one_minus_two);
  CHECK(values(DType::i32, from_hex("01000000 feffffff")) == one_minus_two);
  CHECK(values(DType::u32, from_hex("01000000 feffffff")) == std::vector<double>{1, 4294967294});
  CHECK(values(DType::f32, from_hex("0000803f 000000c0")) == one_minus_two);
  CHECK(values(DType::i64, from_hex("0100000000000000 feffffffffffffff")) == one_minus_two);
  CHECK(values(DType::u64, from_hex("0100000000000000")) == std::vector<double>{1});
  CHECK(values(DType::f64, from_hex("000000000000f03f 00000000000000c0")) == one_minus_two);
  CHECK(values(DType::f8_e4m3, from_hex("38 c0")) == one_minus_two);

  const std::string shifted = from_hex("00 0000803f");
  CHECK(values_as<float>({DType::f32, {1}, as_bytes(shifted).subspan(1), 1, nullptr}) == std::vector<float>{1});
}
