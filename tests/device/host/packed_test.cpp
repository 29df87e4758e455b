// Packing: values survive it from any address, stride, orientation, sub-rectangle and place within the scale groups.
// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>
#include <tess/device/host/pack.hpp>

#include <algorithm>
#include <random>
#include <vector>

using namespace tess;
using namespace tess::host;

namespace {

/// Elements at an odd address, as in a pickle.
template <class S>
struct Bytes {
  std::vector<std::byte> memory;
  explicit Bytes(const std::vector<S>& values) : memory(values.size() * sizeof(S) + 1) {
    std::memcpy(memory.data() + 1, values.data(), values.size() * sizeof(S));
  }
  const std::byte* data() const { return memory.data() + 1; }
};

template <class S>
std::vector<S> random_values(index_t count) {
  std::mt19937 random(static_cast<unsigned>(count));
  std::vector<S> values(static_cast<std::size_t>(count));
  for (S& value : values) {
    if constexpr (std::is_same_v<S, std::int8_t>) value = static_cast<std::int8_t>(random() % 256 - 128);
    else value = static_cast<S>(static_cast<f32>(random() % 20001) / 10000.0f - 1.0f);
  }
  return values;
}

template <class S>
constexpr index_t bytes_of = static_cast<index_t>(sizeof(S));

template <class E, class S>
void check_float_packing(ThreadPool& pool) {
  for (const index_t K : {1, 3, 22, 256, 257, 700})
    for (const index_t N : {1, 31, 32, 33, 600}) {
      const auto values = random_values<S>(K * N);
      const Bytes<S> source(values);
      const auto plain = pack<E>(pool, Source<S>{source.data(), N * bytes_of<S>}, K, N);
      const auto transposed =
          pack<E>(pool, Source<S, true>{source.data(), K * bytes_of<S>}, K, N);  // the file is [N, K]
      index_t wrong = 0;
      for (index_t k = 0; k < K; ++k)
        for (index_t n = 0; n < N; ++n) {
          wrong += unpack(plain, k, n) != static_cast<f32>(static_cast<E>(values[static_cast<std::size_t>(k * N + n)]));
          wrong +=
              unpack(transposed, k, n) != static_cast<f32>(static_cast<E>(values[static_cast<std::size_t>(n * K + k)]));
        }
      CHECK(wrong == 0);
      std::vector<f32> column(static_cast<std::size_t>(K));
      unpack_column(transposed, N - 1, column.data());
      for (index_t k = 0; k < K; ++k) wrong += column[static_cast<std::size_t>(k)] != unpack(transposed, k, N - 1);
      CHECK(wrong == 0);
    }
}

}  // namespace

TEST_CASE("pack.keeps_floats") {
  ThreadPool pool(2);
  check_float_packing<f32, f32>(pool);
  check_float_packing<bf16, bf16>(pool);
  check_float_packing<bf16, f32>(pool);
  check_float_packing<f32, bf16>(pool);
}

TEST_CASE("pack.takes_a_sub_rectangle") {
  ThreadPool pool(1);
  const index_t K = 40, N = 70;
  const auto values = random_values<f32>(K * N);
  const Bytes<f32> source(values);
  const auto part =
      pack<f32>(pool, Source<f32>{source.data() + (5 * N + 9) * 4, N * 4}, 30, 50);  // rows 5 …, columns 9 …
  for (index_t k = 0; k < 30; ++k)
    for (index_t n = 0; n < 50; ++n)
      REQUIRE(unpack(part, k, n) == values[static_cast<std::size_t>((k + 5) * N + n + 9)]);
}

TEST_CASE("pack_q8.keeps_values_and_groups_for_every_shard") {
  ThreadPool pool(2);
  const index_t K = 600, N = 45;
  const auto values = random_values<std::int8_t>(K * N);
  const Bytes<std::int8_t> source(values);
  for (const index_t group_rows : {1, 22, 75, 256, 599, 600}) {
    const index_t groups = (K + group_rows - 1) / group_rows;
    const auto scale_values = random_values<bf16>(groups * N);
    const Bytes<bf16> scales(scale_values);
    const std::pair<index_t, index_t> shards[] = {{0, K}, {0, 300}, {300, 600}, {37, 38}, {75, 150}, {101, 597}};
    for (const auto& [begin, end] : shards) {
      const index_t first_group = begin / group_rows, first_column = 3;
      const auto w =
          pack_q8(pool, Source<std::int8_t>{source.data() + begin * N + first_column, N}, end - begin, N - first_column,
                  Source<bf16>{scales.data() + (first_group * N + first_column) * 2, N * 2}, group_rows,
                  begin - first_group * group_rows);
      CHECK(w.groups() == (end - 1) / group_rows - first_group + 1);
      index_t wrong = 0;
      for (index_t k = begin; k < end; ++k)
        for (index_t n = first_column; n < N; ++n)
          wrong += unpack(w, k - begin, n - first_column) !=
                   static_cast<f32>(values[static_cast<std::size_t>(k * N + n)]) *
                       static_cast<f32>(scale_values[static_cast<std::size_t>(k / group_rows * N + n)]);
      CHECK(wrong == 0);
    }
  }
}

TEST_CASE("cut_into_blocks.covers_K_within_the_groups") {
  for (const index_t K : {1, 22, 256, 257, 4096, 5000})
    for (const index_t group_rows : {1, 22, 768, 4096, 5000})
      for (const index_t offset : {index_t{0}, group_rows / 2, group_rows - 1}) {
        index_t row = 0, word = 0;
        for (const Block& b : cut_into_blocks(K, group_rows, offset, 4)) {
          REQUIRE(b.row == row);
          REQUIRE(b.word == word);
          REQUIRE(b.rows >= 1);
          REQUIRE(b.rows <= block_rows);
          REQUIRE(b.words * 4 == b.padded_rows());
          REQUIRE((b.row + offset) / group_rows == b.group);
          REQUIRE((b.row + b.rows - 1 + offset) / group_rows == b.group);
          row += b.rows;
          word += b.words;
        }
        REQUIRE(row == K);
      }
}

TEST_CASE("packed.refuses_impossible_groups") {
  CHECK_THROWS_AS(PackedQ8(4, 4, 2, 2), Error);
  CHECK_THROWS_AS(PackedQ8(4, 4, 2, -1), Error);
  CHECK_THROWS_AS(PackedQ8(4, 4, -2, 0), Error);
  CHECK_THROWS_AS(PackedF32(-1, 4), Error);
  CHECK(PackedF32(0, 4).groups() == 0);
}
