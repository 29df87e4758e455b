// Places: one rank a GPU in order over all processes, or ranks that share the GPUs of one process; all else is refused.
// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <vector>

#include <tess/device/cuda/places.hpp>

using namespace tess;
using cuda::Places;

namespace {
/// The GPU of each rank of a mesh in this process, -1 where it lives in another one.
std::vector<index_t> gpus_of(const Places& p, index_t ranks) {
  p.check(ranks);
  std::vector<index_t> gpus;
  for (index_t r = 0; r < ranks; ++r) gpus.push_back(p.is_here(r) ? p.gpu_of(r, ranks) : -1);
  return gpus;
}
using Gpus = std::vector<index_t>;
}  // namespace

TEST_CASE("a process on its own: a GPU each, or equal runs of ranks on one GPU") {
  const Places p{.gpus = 4};
  CHECK(gpus_of(p, 4) == Gpus{0, 1, 2, 3});
  CHECK(gpus_of(p, 2) == Gpus{0, 1});
  CHECK(gpus_of(p, 1) == Gpus{0});
  CHECK(gpus_of(p, 8) == Gpus{0, 0, 1, 1, 2, 2, 3, 3});
  CHECK(p.one_gpu_each(4));
  CHECK(!p.one_gpu_each(8));
}

TEST_CASE("several processes: rank after rank, GPU after GPU, process after process") {
  CHECK(gpus_of({.process = 2, .processes = 4, .gpus = 1}, 4) == Gpus{-1, -1, 0, -1});
  CHECK(gpus_of({.process = 1, .processes = 2, .gpus = 3}, 6) == Gpus{-1, -1, -1, 0, 1, 2});
  for (index_t process = 0; process < 16; ++process)  // two nodes of eight
    for (index_t rank = 0; rank < 16; ++rank) {
      const Places p{.process = process, .processes = 16, .gpus = 1};
      CHECK(p.is_here(rank) == (rank == process));
      CHECK(p.gpu_of(rank, 16) == 0);
      CHECK(p.one_gpu_each(16));
    }
}

TEST_CASE("a mesh that does not fit is an error that says what would") {
  CHECK_THROWS_WITH_AS(Places({.gpus = 3}).check(8), doctest::Contains("a number of GPUs that divides it"), Error);
  CHECK_THROWS_WITH_AS(Places({.processes = 2, .gpus = 4}).check(4),
                       doctest::Contains("does not fit 2 processes with 4"), Error);
  CHECK_THROWS_AS(Places({.processes = 2, .gpus = 4}).check(16), Error);
}
