// paste: a packed matrix put together from packed parts is, byte for byte, the whole matrix packed at once.
// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <cstring>
#include <vector>

#include <tess/device/host/paste.hpp>

using namespace tess;
using namespace tess::host;

namespace {

/// W[K, N] of small numbers, and bf16 scales [groups, N].
template <class S>
std::vector<S> numbers(index_t size) {
  std::vector<S> v;
  for (index_t i = 0; i < size; ++i) v.push_back(static_cast<S>(static_cast<f32>(i * 37 % 251 - 125)));
  return v;
}
template <class S>
const std::byte* at(const std::vector<S>& v, index_t i) {
  return reinterpret_cast<const std::byte*>(v.data() + i);
}

/// Rows [k, k + rows) and columns [n, n + columns) of the matrix.
template <class E>
Packed<E> part(ThreadPool& pool, index_t N, index_t k, index_t rows, index_t n, index_t columns,
               const std::vector<E>& values, const std::vector<bf16>& scales, index_t group_rows) {
  constexpr auto size = static_cast<index_t>(sizeof(E));
  const Source<E> source{at(values, k * N + n), N * size};
  if constexpr (Packed<E>::has_scales)
    return pack_q8(pool, source, rows, columns, Source<bf16>{at(scales, k / group_rows * N + n), N * 2}, group_rows,
                   k % group_rows);
  else return pack<E>(pool, source, rows, columns);
}

template <class E>
bool equal(const Packed<E>& a, const Packed<E>& b) {
  bool same = a.rows() == b.rows() && a.columns() == b.columns() && a.groups() == b.groups() && a.bytes() == b.bytes();
  same = same && std::memcmp(a.panel(0), b.panel(0), static_cast<std::size_t>(a.panels() * a.panel_bytes())) == 0;
  if constexpr (Packed<E>::has_scales)
    same = same && std::memcmp(a.scales(0, 0), b.scales(0, 0),
                               static_cast<std::size_t>(a.panels() * a.groups() * panel_columns) * 2) == 0;
  return same;
}

/// [K, N] from K / rows by N / columns parts; scales in groups of group_rows.
template <class E>
void puts_together(index_t K, index_t N, index_t rows, index_t columns, index_t group_rows = 0) {
  INFO(K, " x ", N, " from parts of ", rows, " x ", columns, ", groups of ", group_rows);
  ThreadPool pool(3);
  if (group_rows == 0) group_rows = K;
  const auto values = numbers<E>(K * N);
  const auto scales = numbers<bf16>((K + group_rows - 1) / group_rows * N);
  const auto cut = [&](index_t k, index_t r, index_t n, index_t c) {
    return part<E>(pool, N, k, r, n, c, values, scales, group_rows);
  };
  Packed<E> w = Packed<E>::has_scales ? blank<E>(K, N, group_rows) : blank<E>(K, N);
  for (index_t k = 0; k < K; k += rows)
    for (index_t n = 0; n < N; n += columns) {
      CHECK_FALSE(equal(w, cut(0, K, 0, N)));
      paste(pool, w, k, n, cut(k, rows, n, columns));
    }
  CHECK(equal(w, cut(0, K, 0, N)));
}

template <class E>
void every_way() {
  puts_together<E>(64, 96, 32, 96);  // rows
  puts_together<E>(64, 96, 64, 32);  // whole panels
  puts_together<E>(64, 96, 64, 48);  // parts of panels
  puts_together<E>(66, 20, 11, 5);   // nothing is aligned
  puts_together<E>(1024, 32, 256, 16);
}

}  // namespace

TEST_CASE("f32 parts, bf16 parts") {
  every_way<f32>();
  every_way<bf16>();
}
TEST_CASE("int8 parts bring the scales of their groups") {
  every_way<std::int8_t>();
  puts_together<std::int8_t>(64, 48, 16, 48, 8);   // two groups a part
  puts_together<std::int8_t>(64, 48, 8, 24, 32);   // four parts a group
  puts_together<std::int8_t>(66, 20, 11, 10, 22);  // two parts a group, nothing aligned
  puts_together<std::int8_t>(96, 33, 32, 11, 24);  // parts across groups
  puts_together<std::int8_t>(2048, 32, 512, 32, 1024);
}
