// Hopper's instructions: where tensor copies put a box, what wgmma multiplies, when barriers let go.
// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <tess/device/cuda/gpu.hpp>
#include <tess/device/cuda/isa_hopper.hpp>
#include <tess/device/cuda/tile_parts.hpp>

#include <cmath>
#include <string>
#include <vector>

using namespace tess;
using namespace tess::cuda;

namespace {

template <class T>
std::shared_ptr<T> on_gpu(Gpu& gpu, const std::vector<T>& values) {
  auto memory = gpu.scratch<T>(static_cast<index_t>(values.size()));
  gpu.upload(memory.get(), values.data(), static_cast<index_t>(values.size() * sizeof(T)));
  return memory;
}
template <class T>
std::vector<T> on_host(Gpu& gpu, const T* from, std::size_t count) {
  std::vector<T> values(count);
  gpu.download(values.data(), from, static_cast<index_t>(count * sizeof(T)));
  return values;
}
bool has_hopper() { return Gpu(0).capability() == 90; }

/// One box to shared memory, and from there to `out` as it lies.
__global__ void copy_one_box(const __grid_constant__ TensorMap map, std::byte* out, int bytes, int c0, int c1, int c2) {
#if TESS_HAS_HOPPER_ISA
  std::byte* const box = shared_memory();
  Barrier& there = *reinterpret_cast<Barrier*>(box + bytes);
  if (threadIdx.x == 0) {
    make_barrier(there, 1);
    publish_barriers();
    arrive_and_expect(there, static_cast<std::uint32_t>(bytes));
    copy_box(box, map, there, c0, c1, c2);
  }
  __syncthreads();
  wait(there, 0);
  for (int i = static_cast<int>(threadIdx.x); i < bytes; i += static_cast<int>(blockDim.x)) out[i] = box[i];
#endif
}

template <class T>
void check_box(std::array<index_t, 3> extents, index_t pitch, std::array<int, 3> box, std::array<int, 3> at) {
  Gpu gpu(0);
  std::vector<T> tensor(static_cast<std::size_t>(extents[2] * extents[1] * pitch));
  for (std::size_t i = 0; i < tensor.size(); ++i)
    if constexpr (sizeof(T) == 1) tensor[i] = static_cast<T>(i % 127 + 1);
    else tensor[i] = static_cast<T>(static_cast<f32>(i % 251 + 1));
  const auto there = on_gpu(gpu, tensor);
  const int rows = box[1] * box[2], bytes = rows * 128;
  const auto out = gpu.scratch<std::byte>(bytes);
  gpu.run(copy_one_box, {.grid = blocks(1), .block = dim3(64), .shared = bytes + 8},
          tensor_map(there.get(), extents, {pitch, extents[1] * pitch}, box), out.get(), bytes, at[0], at[1], at[2]);
  const auto found = on_host(gpu, out.get(), static_cast<std::size_t>(bytes));
  index_t wrong = 0;
  for (int row = 0; row < rows; ++row)
    for (int i = 0; i < box[0]; ++i) {
      const index_t x = at[0] + i, y = at[1] + row % box[1], z = at[2] + row / box[1];
      T expected{};
      if (x < extents[0] && y < extents[1] && z < extents[2])
        expected = tensor[static_cast<std::size_t>((z * extents[1] + y) * pitch + x)];
      const int byte = i * static_cast<int>(sizeof(T)), place = row * 128 + ((byte / 16) ^ (row % 8)) * 16 + byte % 16;
      wrong += std::memcmp(found.data() + place, &expected, sizeof(T)) != 0;
    }
  CHECK(wrong == 0);
}

/// d [64, N] = twice a [64, 64] · b [N, 64]^T: a from registers by their documented places, b by a tensor copy.
template <int N>
__global__ void multiply_once(const __grid_constant__ TensorMap b_map, const bf16* a, float* d) {
#if TESS_HAS_HOPPER_ISA
  std::byte* const b = shared_memory();
  Barrier& there = *reinterpret_cast<Barrier*>(b + N * 128);
  if (threadIdx.x == 0) {
    make_barrier(there, 1);
    publish_barriers();
    arrive_and_expect(there, N * 128);
    copy_box(b, b_map, there, 0, 0, 0);
  }
  __syncthreads();
  wait(there, 0);
  const index_t warp = threadIdx.x / 32, g = threadIdx.x % 32 / 4, t = threadIdx.x % 4;
  float sums[N / 2] = {};
  std::uint32_t registers[4][4];
#pragma unroll
  for (int k = 0; k < 4; ++k)
#pragma unroll
    for (int i = 0; i < 4; ++i)
      registers[k][i] = load_word(a + (16 * warp + g + i % 2 * 8) * 64 + 16 * k + 2 * t + i / 2 * 8);
#pragma unroll
  for (int batch = 0; batch < 2; ++batch) {  // the second adds to the first, which may be under way
    begin_batch();
#pragma unroll
    for (int k = 0; k < 4; ++k) multiply_add_async(sums, registers[k], operand_b(b, 16 * k));
    commit_batch();
  }
  wait_for_batches<0>();
#pragma unroll
  for (int i = 0; i < N / 2; ++i) d[(16 * warp + g + i / 2 % 2 * 8) * N + i / 4 * 8 + 2 * t + i % 2] = sums[i];
#endif
}

template <int N>
void check_product() {
  Gpu gpu(0);
  std::vector<bf16> a(64 * 64), b(N * 64);
  for (std::size_t i = 0; i < a.size(); ++i) a[i] = static_cast<bf16>(static_cast<f32>(i * 7 % 31) - 15.0f);
  for (std::size_t i = 0; i < b.size(); ++i) b[i] = static_cast<bf16>(static_cast<f32>(i * 11 % 29) - 14.0f);
  const auto a_there = on_gpu(gpu, a), b_there = on_gpu(gpu, b);
  const auto d = gpu.scratch<float>(64 * N);
  gpu.run(multiply_once<N>, {.grid = blocks(1), .block = dim3(128), .shared = N * 128 + 8},
          tensor_map(b_there.get(), {64, N, 1}, {64, N * 64}, {64, N, 1}), a_there.get(), d.get());
  const auto found = on_host(gpu, d.get(), 64 * N);
  index_t wrong = 0;
  for (std::size_t m = 0; m < 64; ++m)
    for (std::size_t n = 0; n < N; ++n) {
      f32 sum = 0;  // whole numbers: exact
      for (std::size_t k = 0; k < 64; ++k) sum += 2 * static_cast<f32>(a[m * 64 + k]) * static_cast<f32>(b[n * 64 + k]);
      wrong += found[m * N + n] != sum;
    }
  CHECK(wrong == 0);
}

/// Numbers go round a ring of two places: one warp writes them, another adds them up.
__global__ void hand_over(int* sum, int count) {
#if TESS_HAS_HOPPER_ISA
  int* const places = reinterpret_cast<int*>(shared_memory());  // [2][32]
  Barrier* const full = reinterpret_cast<Barrier*>(shared_memory() + 256);
  Barrier* const empty = full + 2;
  if (threadIdx.x == 0) {
    for (int i = 0; i < 2; ++i) make_barrier(full[i], 32), make_barrier(empty[i], 32);
    publish_barriers();
  }
  __syncthreads();
  const int lane = static_cast<int>(threadIdx.x) % 32;
  int total = 0;
  for (int i = 0; i < count; ++i) {
    const std::uint32_t round = static_cast<std::uint32_t>(i) / 2 % 2;
    if (threadIdx.x < 32) {
      wait(empty[i % 2], round ^ 1);
      places[i % 2 * 32 + lane] = i * 100 + lane;
      arrive(full[i % 2]);
    } else {
      wait(full[i % 2], round);
      total += places[i % 2 * 32 + 31 - lane];
      arrive(empty[i % 2]);
    }
  }
  if (threadIdx.x >= 32) sum[lane] = total;
#endif
}

}  // namespace

TEST_CASE("isa_hopper.tensor_copies_swizzle_a_box_and_fill_what_lies_outside_with_zeros") {
  if (!has_hopper()) return;
  check_box<bf16>({64, 16, 1}, 64, {64, 16, 1}, {0, 0, 0});
  check_box<bf16>({70, 19, 3}, 72, {64, 8, 2}, {32, 14, 2});
  check_box<std::int8_t>({300, 70, 2}, 304, {128, 64, 1}, {256, 8, 1});
  check_box<std::int8_t>({5, 3, 1}, 16, {128, 8, 1}, {0, 0, 0});
}

TEST_CASE("isa_hopper.wgmma_multiplies_registers_by_swizzled_rows") {
  if (!has_hopper()) return;
  check_product<64>();
  check_product<128>();
}

TEST_CASE("isa_hopper.barriers_hand_over_in_phases") {
  if (!has_hopper()) return;
  Gpu gpu(0);
  const auto sum = gpu.scratch<int>(32);
  gpu.run(hand_over, {.grid = blocks(1), .block = dim3(64), .shared = 256 + 32}, sum.get(), 7);
  const auto found = on_host(gpu, sum.get(), 32);
  for (int lane = 0; lane < 32; ++lane) CHECK(found[static_cast<std::size_t>(lane)] == 100 * 21 + 7 * (31 - lane));
}

#ifdef TESS_EMULATED_ISA
namespace {

/// Multiplies, and does one thing wrong.
__global__ void multiply_wrongly(int mistake, float* out) {
  float sums[32] = {};
  std::uint32_t a[4] = {};
  for (int i = 0; i < 16; ++i)
    reinterpret_cast<std::uint32_t*>(shared_memory())[static_cast<int>(threadIdx.x) * 16 + i] = 0;
  __syncthreads();
  if (mistake != 1) begin_batch();
  multiply_add_async(sums, a, operand_b(shared_memory(), 0));
  commit_batch();
  if (mistake == 2) a[0] = 1;
  if (mistake == 3) sums[5] = 0;
  if (mistake == 4) out[threadIdx.x] = sums[0];
  wait_for_batches<0>();
  if (mistake != 4) out[threadIdx.x] = sums[0];
}
__global__ void wait_in_vain(int* out) {
  Barrier& b = *reinterpret_cast<Barrier*>(shared_memory());
  if (threadIdx.x == 0) make_barrier(b, 2);
  __syncthreads();
  if (threadIdx.x == 0) arrive(b);
  wait(b, 0);
  out[threadIdx.x] = 1;
}

std::string error_of(int mistake) {
  Gpu gpu(0);
  const auto out = gpu.scratch<float>(128);
  try {
    gpu.run(multiply_wrongly, {.grid = blocks(1), .block = dim3(128), .shared = 8192}, mistake, out.get());
    const auto found = on_host(gpu, out.get(), 128);
    return std::isnan(found[0]) ? "not a number" : "";
  } catch (const std::exception& e) {
    return e.what();
  }
}

}  // namespace

TEST_CASE("isa_hopper.the_emulator_finds_what_was_forgotten") {
  const auto names = [](const std::string& text, const char* what) { return text.find(what) != std::string::npos; };
  CHECK(error_of(0) == "");
  CHECK(names(error_of(1), "without begin_batch"));
  CHECK(names(error_of(2), "a register of operand A was changed before wait_for_batches"));
  CHECK(names(error_of(3), "a register that wgmma adds to was changed before wait_for_batches"));
  CHECK(error_of(4) == "not a number");  // read too early

  const double before = emulation::set_patience(0.1);
  {
    Gpu gpu(0);
    const auto out = gpu.scratch<int>(32);
    CHECK_THROWS_WITH_AS(
        (gpu.run(wait_in_vain, {.grid = blocks(1), .block = dim3(32), .shared = 8}, out.get()), gpu.wait()),
        doctest::Contains("deadlock"), std::exception);
  }
  emulation::set_patience(before);
}
#endif
