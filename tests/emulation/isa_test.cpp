// The emulated instructions: fragments as the PTX ISA documents them, copies that land when they are waited for.
// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <cmath>
#include <string>
#include <tess/device/cuda/gpu.hpp>
#include <tess/device/cuda/isa.hpp>
#include <tess/tensor/dtype.hpp>
#include <vector>

using namespace tess;
using tess::cuda::blocks;
using tess::cuda::Gpu;

namespace {

// y [16, 8] += a [16, 16] · b [16, 8], the fragments filled element by element as the PTX ISA's figures of mma.m16n8k16 say.
__global__ void multiply(const bf16* a, const bf16* b, float* y) {
  const int g = static_cast<int>(threadIdx.x) / 4, t = static_cast<int>(threadIdx.x) % 4;
  const auto pair = [](bf16 low, bf16 high) {
    return cuda::pack_bf16(static_cast<float>(low), static_cast<float>(high));
  };
  std::uint32_t fa[4], fb[2];
  for (int i = 0; i < 8; ++i) {  // a's element i of this lane
    const int row = i < 2 || (i >= 4 && i < 6) ? g : g + 8, column = 2 * t + (i & 1) + (i >= 4 ? 8 : 0);
    if (i % 2 == 1) fa[i / 2] = pair(a[row * 16 + column - 1], a[row * 16 + column]);
  }
  for (int i = 0; i < 4; ++i) {  // b's
    const int row = 2 * t + (i & 1) + (i >= 2 ? 8 : 0);
    if (i % 2 == 1) fb[i / 2] = pair(b[(row - 1) * 8 + g], b[row * 8 + g]);
  }
  float d[4];
  for (int i = 0; i < 4; ++i) d[i] = y[(i < 2 ? g : g + 8) * 8 + 2 * t + (i & 1)];
  cuda::multiply_add(d, fa, fb);
  for (int i = 0; i < 4; ++i) y[(i < 2 ? g : g + 8) * 8 + 2 * t + (i & 1)] = d[i];
}
// The same, filled by ldmatrix from shared memory.
__global__ void load_and_multiply(const bf16* a, const bf16* b, float* y) {
  const unsigned l = threadIdx.x, g = l / 4, t = l % 4;
  std::byte* s = cuda::shared_memory();
  cuda::copy_async(s + 16 * l, a + 8 * l);                       // a [16, 16]
  cuda::copy_async(s + 512 + 16 * l, b + 8 * (l % 16), l < 16);  // b [16, 8]
  cuda::commit_copies();
  cuda::wait_for_copies<0>();
  __syncthreads();
  std::uint32_t fa[4], columns[4];
  cuda::load_matrices(fa, s + l % 16 * 32 + l / 16 * 16);
  cuda::load_matrices_transposed(columns, s + 512 + l % 16 * 16);
  const std::uint32_t fb[2] = {columns[0], columns[1]};
  float d[4] = {};
  cuda::multiply_add(d, fa, fb);
  for (unsigned i = 0; i < 4; ++i) y[(i < 2 ? g : g + 8) * 8 + 2 * t + (i & 1)] = d[i];
}
// Three copies in three groups; what is seen when at most two, one and none are under way.
__global__ void groups_of_copies(const float* x, float* y) {
  std::byte* s = cuda::shared_memory();
  const auto* f = reinterpret_cast<const float*>(s);
  for (int i = 0; i < 3; ++i) {
    cuda::copy_async(s + 16 * i, x + 4 * i, i != 1);
    cuda::commit_copies();
  }
  for (int i = 0; i < 3; ++i) y[i] = f[4 * i];
  cuda::wait_for_copies<2>();
  for (int i = 0; i < 3; ++i) y[3 + i] = f[4 * i];
  cuda::wait_for_copies<1>();
  for (int i = 0; i < 3; ++i) y[6 + i] = f[4 * i];
  cuda::wait_for_copies<0>();
  for (int i = 0; i < 3; ++i) y[9 + i] = f[4 * i];
}
__global__ void copy_to_odd_address(const float* x) { cuda::copy_async(cuda::shared_memory() + 4, x); }
__global__ void copy_beyond(const float* x) { cuda::copy_async(cuda::shared_memory() + 64, x); }
__global__ void copy_from_odd_address(const float* x) { cuda::copy_async(cuda::shared_memory(), x + 1); }

template <class... P, class... A>
std::string error_of(Gpu& gpu, void (*kernel)(P...), A... args) {
  try {
    gpu.run(kernel, {.grid = blocks(1), .block = blocks(1), .shared = 64}, args...);
    gpu.wait();
  } catch (const std::exception& e) {
    return e.what();
  }
  return "";
}

}  // namespace

TEST_CASE("mma and ldmatrix against a plain product") {
  Gpu gpu(0);
  std::vector<bf16> a(256), b(128);
  std::vector<float> y(128), expected(128);
  for (std::size_t i = 0; i < 256; ++i) a[i] = bf16(static_cast<float>(i * 37 % 41) - 20);
  for (std::size_t i = 0; i < 128; ++i) b[i] = bf16(static_cast<float>(i * 29 % 31) - 15), y[i] = static_cast<float>(i);
  auto ga = gpu.scratch<bf16>(256), gb = gpu.scratch<bf16>(128);
  auto gy = gpu.scratch<float>(128);
  gpu.upload(ga.get(), a.data(), 512), gpu.upload(gb.get(), b.data(), 256), gpu.upload(gy.get(), y.data(), 512);
  for (std::size_t i = 0; i < 16; ++i)
    for (std::size_t j = 0; j < 8; ++j)
      for (std::size_t k = 0; k < 16; ++k)
        expected[i * 8 + j] += static_cast<float>(a[i * 16 + k]) * static_cast<float>(b[k * 8 + j]);
  gpu.run(multiply, {.grid = blocks(1), .block = blocks(32)}, ga.get(), gb.get(), gy.get());
  std::vector<float> found(128);
  gpu.download(found.data(), gy.get(), 512);
  for (std::size_t i = 0; i < 128; ++i) CHECK(found[i] == expected[i] + y[i]);  // integers: every order gives the same
  gpu.run(load_and_multiply, {.grid = blocks(1), .block = blocks(32), .shared = 1024}, ga.get(), gb.get(), gy.get());
  gpu.download(found.data(), gy.get(), 512);
  for (std::size_t i = 0; i < 128; ++i) CHECK(found[i] == expected[i]);
}

TEST_CASE("copies land group by group, when they are waited for") {
  Gpu gpu(0);
  const std::vector<float> x{1, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0};
  auto gx = gpu.scratch<float>(12), gy = gpu.scratch<float>(12);
  gpu.upload(gx.get(), x.data(), 48);
  gpu.run(groups_of_copies, {.grid = blocks(1), .block = blocks(1), .shared = 48}, gx.get(), gy.get());
  std::vector<float> y(12);
  gpu.download(y.data(), gy.get(), 48);
  const float nan = NAN,
              expected[] = {nan, nan, nan, 1, nan, nan, 1, 0, nan, 1, 0, 3};  // the second is told to be zeros
  for (std::size_t i = 0; i < 12; ++i) {
    CAPTURE(i);
    CHECK(std::isnan(y[i]) == std::isnan(expected[i]));
    if (!std::isnan(expected[i])) CHECK(y[i] == expected[i]);
  }
}

TEST_CASE("addresses are looked at") {
  Gpu gpu(0);
  auto x = gpu.scratch<float>(8);
  CHECK(error_of(gpu, copy_to_odd_address, x.get()).find("no multiple of 16") != std::string::npos);
  CHECK(error_of(gpu, copy_beyond, x.get()).find("outside of shared memory") != std::string::npos);
  CHECK(error_of(gpu, copy_from_odd_address, x.get()).find("no multiple of 16") != std::string::npos);
}

TEST_CASE("pack_bf16 rounds as the library's own bf16 does; bytes are chosen as prmt chooses them") {
  for (const float v : {0.0f, -0.0f, 1.0f, 1.00390625f, 1.01171875f, -3.14159f, 3.4e38f, 1e-40f, INFINITY, -INFINITY}) {
    CAPTURE(v);
    CHECK(cuda::pack_bf16(v, 1.0f) == (0x3f800000u | std::bit_cast<std::uint16_t>(bf16(v))));
    CHECK(cuda::pack_bf16(1.0f, v) ==
          (0x3f80u | static_cast<std::uint32_t>(std::bit_cast<std::uint16_t>(bf16(v))) << 16));
  }
  CHECK((cuda::pack_bf16(NAN, 0) & 0x7fff) == 0x7fff);
  CHECK(cuda::permute_bytes(0x33221100u, 0x77665544u, 0x7410u) == 0x77441100u);
  CHECK(cuda::permute_bytes(0x80000000u, 0x7f000000u, 0xbf33u) == 0xff008080u);  // b: the sign of byte 3, f: of byte 7
  CHECK(cuda::add_bf16_pairs(0x3f803f80u, 0x40003f80u) == 0x40404000u);          // 1 + 2, 1 + 1
}
