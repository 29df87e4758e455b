// The threads of an emulated block: barriers, warps, atomics, and what is said when they cannot go on.
// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <string>
#include <tess/device/cuda/gpu.hpp>
#include <tess/device/cuda/isa.hpp>
#include <vector>

using namespace tess;
using tess::cuda::blocks;
using tess::cuda::Gpu;
using tess::cuda::Launch;

namespace {

constexpr unsigned all = 0xffffffffu;

template <class T>
std::vector<T> results(Gpu& gpu, const std::shared_ptr<T>& from, index_t count) {
  std::vector<T> to(static_cast<std::size_t>(count));
  gpu.download(to.data(), from.get(), count * static_cast<index_t>(sizeof(T)));
  return to;
}
/// What a launch throws.
template <class... P, class... A>
std::string error_of(Gpu& gpu, void (*kernel)(P...), const Launch& how, A... args) {
  try {
    gpu.run(kernel, how, args...);
    gpu.wait();
  } catch (const std::exception& e) {
    return e.what();
  }
  return "";
}
bool contains(const std::string& text, const std::string& part) {
  CAPTURE(text);
  return text.find(part) != std::string::npos;
}

__global__ void where(uint3* y) {
  const unsigned thread = threadIdx.x + blockDim.x * (threadIdx.y + blockDim.y * threadIdx.z);
  const unsigned block = blockIdx.x + gridDim.x * (blockIdx.y + gridDim.y * blockIdx.z);
  y[block * blockDim.x * blockDim.y * blockDim.z + thread] =
      uint3{threadIdx.x, threadIdx.y, 10 * blockIdx.y + blockIdx.z};
}
__global__ void rotate(int* y, int rounds) {  // each thread passes its number to the next
  int* s = reinterpret_cast<int*>(cuda::shared_memory());
  int mine = static_cast<int>(threadIdx.x);
  for (int i = 0; i < rounds; ++i) {
    s[threadIdx.x] = mine;
    __syncthreads();
    mine = s[(threadIdx.x + blockDim.x - 1) % blockDim.x];
    __syncthreads();
  }
  y[threadIdx.x] = mine;
}
__global__ void shuffles(int* y) {
  const int l = static_cast<int>(threadIdx.x % 32), v = 100 + static_cast<int>(threadIdx.x);
  int* mine = y + 6 * threadIdx.x;
  mine[0] = __shfl_sync(all, v, l * 7);
  mine[1] = __shfl_xor_sync(all, v, 5);
  mine[2] = __shfl_down_sync(all, v, 3);
  mine[3] = __shfl_up_sync(all, v, 3);
  mine[4] = __shfl_sync(all, v, 1, 8);
  mine[5] = __shfl_down_sync(all, v, 3, 8);
}
__global__ void votes(int* y) {
  const int i = static_cast<int>(threadIdx.x);
  int* mine = y + 8 * i;
  mine[0] = static_cast<int>(__ballot_sync(all, i % 3 == 0));
  mine[1] = __any_sync(all, i == 40);
  mine[2] = __all_sync(all, i < 32);
  mine[3] = __syncthreads_count(i % 2);
  mine[4] = __syncthreads_or(i == 70);
  mine[5] = __syncthreads_and(i < 70);
  mine[6] = __syncthreads_and(i < 96);
  mine[7] = __popc(__ballot_sync(all, 1));
}
__global__ void some_leave(int* y) {  // the rest still meets
  if (threadIdx.x >= 40) return;
  __syncthreads();
  y[threadIdx.x] = __syncthreads_count(1);
}
__global__ void add(float* f, int* i, unsigned long long* u, int* largest, int* smallest, unsigned* once) {
  atomicAdd(f, 0.5f), atomicAdd(i, 2), atomicAdd(u, 3ull);
  atomicMax(largest, static_cast<int>(threadIdx.x * 7 % 61)),
      atomicMin(smallest, -static_cast<int>(threadIdx.x * 7 % 61));
  if (atomicCAS(once, 0u, 1u) == 0) atomicExch(once + 1, threadIdx.x + 1);
}
__global__ void two_barriers() {
  if (threadIdx.x < 32) __syncthreads();
  else __syncthreads_or(1);
}
__global__ void other_arguments() { (void)__shfl_xor_sync(all, 1, threadIdx.x < 16 ? 1 : 2); }
__global__ void from_a_lane_that_ended(int* y) {
  if (threadIdx.x == 5) return;
  y[threadIdx.x] = __shfl_sync(all, 1, 5);
}
__global__ void half_a_mask() { __syncwarp(0xffffu); }
__global__ void never(int* y) {
  if (threadIdx.x == 3) __syncthreads();
  else if (threadIdx.x > 10) __syncwarp();
  y[0] = 1;
}
struct Counted {
  int* count;
  ~Counted() { ++*count; }
};
__global__ void throws(int* destroyed) {
  const Counted counted{destroyed};
  if (threadIdx.x == 7) throw std::runtime_error("from the kernel");
  __syncthreads();
}
__global__ void meet_other_block(std::uint32_t* arrived) {  // all blocks wait for all
  if (threadIdx.x == 0) {
    atomicAdd(arrived, 1u);
    while (cuda::load_acquire(arrived) < gridDim.x) cuda::pause();
  }
  __syncthreads();
}
__global__ void hand_over(std::uint32_t* mine, const std::uint32_t* other, unsigned rounds) {
  for (unsigned i = 1; i <= rounds; ++i) {
    if (threadIdx.x == 0) {
      cuda::store_release(mine, i);
      while (cuda::load_acquire(other) < i) cuda::pause();
    }
    __syncthreads();
  }
}
__global__ void uninitialised(float* y) {
  y[threadIdx.x] = reinterpret_cast<float*>(cuda::shared_memory())[threadIdx.x];
}

}  // namespace

TEST_CASE("threads and blocks know their places") {
  Gpu gpu(0);
  auto y = gpu.scratch<uint3>(2 * 3 * 4 * 5 * 2);
  gpu.run(where, {.grid = dim3(1, 5, 2), .block = dim3(2, 3, 4)}, y.get());
  const std::vector<uint3> places = results(gpu, y, 240);
  CHECK(places[23].x == 1);
  CHECK(places[23].y == 2);
  CHECK(places[23].z == 0);
  CHECK(places[239].z == 41);
}

TEST_CASE("__syncthreads, for blocks of any size") {
  Gpu gpu(0);
  for (const unsigned n : {1u, 31u, 32u, 33u, 257u, 1024u}) {
    CAPTURE(n);
    auto y = gpu.scratch<int>(n);
    gpu.run(rotate, {.grid = blocks(1), .block = dim3(n), .shared = 4 * n}, y.get(), 5);
    const std::vector<int> found = results(gpu, y, n);
    for (unsigned i = 0; i < n; ++i) REQUIRE(found[i] == static_cast<int>((i + 5 * n - 5) % n));
  }
}

TEST_CASE("shuffles move values within a warp, and within parts of it") {
  Gpu gpu(0);
  auto y = gpu.scratch<int>(64 * 6);
  gpu.run(shuffles, {.grid = blocks(1), .block = blocks(64)}, y.get());
  const std::vector<int> found = results(gpu, y, 64 * 6);
  for (int i = 0; i < 64; ++i) {
    const int l = i % 32, warp = 100 + i - l;
    const int* mine = found.data() + 6 * i;
    CAPTURE(i);
    REQUIRE(mine[0] == warp + l * 7 % 32);
    REQUIRE(mine[1] == warp + (l ^ 5));
    REQUIRE(mine[2] == warp + (l + 3 < 32 ? l + 3 : l));
    REQUIRE(mine[3] == warp + (l >= 3 ? l - 3 : l));
    REQUIRE(mine[4] == warp + l / 8 * 8 + 1);
    REQUIRE(mine[5] == warp + (l % 8 + 3 < 8 ? l + 3 : l));
  }
}

TEST_CASE("votes of warps and blocks") {
  Gpu gpu(0);
  auto y = gpu.scratch<int>(96 * 8);
  gpu.run(votes, {.grid = blocks(1), .block = blocks(96)}, y.get());
  const std::vector<int> found = results(gpu, y, 96 * 8);
  for (int i = 0; i < 96; ++i) {
    unsigned thirds = 0;
    for (int l = 0; l < 32; ++l) thirds |= ((i / 32 * 32 + l) % 3 == 0 ? 1u : 0u) << l;
    const int* mine = found.data() + 8 * i;
    CAPTURE(i);
    REQUIRE(static_cast<unsigned>(mine[0]) == thirds);
    REQUIRE(mine[1] == (i / 32 == 1));
    REQUIRE(mine[2] == (i / 32 == 0));
    REQUIRE(mine[3] == 48);
    REQUIRE(mine[4] == 1);
    REQUIRE(mine[5] == 0);
    REQUIRE(mine[6] == 1);
    REQUIRE(mine[7] == 32);
  }
}

TEST_CASE("threads that have ended are not waited for") {
  Gpu gpu(0);
  auto y = gpu.scratch<int>(40);
  gpu.run(some_leave, {.grid = blocks(1), .block = blocks(64)}, y.get());
  CHECK(results(gpu, y, 40) == std::vector<int>(40, 40));
}

TEST_CASE("atomic operations") {
  Gpu gpu(0);
  auto f = gpu.scratch<float>(1);
  auto i = gpu.scratch<int>(3);
  auto u = gpu.scratch<unsigned long long>(1);
  auto once = gpu.scratch<unsigned>(2);
  for (const auto& [p, bytes] :
       std::vector<std::pair<void*, std::size_t>>{{f.get(), 4}, {i.get(), 12}, {u.get(), 8}, {once.get(), 8}})
    cuda::check(cudaMemsetAsync(p, 0, bytes, gpu.stream()), "cudaMemsetAsync");
  gpu.run(add, {.grid = blocks(3), .block = blocks(64)}, f.get(), i.get(), u.get(), i.get() + 1, i.get() + 2,
          once.get());
  CHECK(results(gpu, f, 1)[0] == 96);
  CHECK(results(gpu, i, 3) == std::vector<int>{384, 60, -60});
  CHECK(results(gpu, u, 1)[0] == 576);
  CHECK(results(gpu, once, 2)[0] == 1);
  CHECK(results(gpu, once, 2)[1] > 0);
}

TEST_CASE("a mistake is told with its kernel, block and thread") {
  Gpu gpu(0);
  auto y = gpu.scratch<int>(64);
  const Launch two{.grid = blocks(2), .block = blocks(64)}, one{.grid = blocks(1), .block = blocks(32)};
  const std::string apart = error_of(gpu, two_barriers, two);
  CHECK(contains(apart, "two_barriers()"));
  CHECK(contains(apart, "waits at __syncthreads"));
  CHECK(contains(error_of(gpu, other_arguments, one), "is at __shfl_xor_sync with another mask or argument"));
  CHECK(contains(error_of(gpu, from_a_lane_that_ended, one, y.get()), "from lane 5, which has ended"));
  CHECK(contains(error_of(gpu, half_a_mask, one), "a mask of lanes other than all"));
  CHECK(contains(error_of(gpu, never, one, y.get()),
                 "kernel (anonymous namespace)::never(int*), block (0, 0, 0): deadlock: 10 threads (0 … 10) ended, "
                 "thread 3 waits at "
                 "__syncthreads, 21 threads (11 … 31) wait at __syncwarp"));
  gpu.run(some_leave, {.grid = blocks(1), .block = blocks(64)}, y.get());  // and the next kernel runs
  CHECK(results(gpu, y, 1)[0] == 40);
}

TEST_CASE("an exception ends all threads of the block in good order") {
  Gpu gpu(0);
  auto destroyed = gpu.scratch<int>(1);
  cuda::check(cudaMemsetAsync(destroyed.get(), 0, 4, gpu.stream()), "cudaMemsetAsync");
  CHECK(error_of(gpu, throws, {.grid = blocks(1), .block = blocks(64)}, destroyed.get()) == "from the kernel");
  const int n = results(gpu, destroyed, 1)[0];
  CHECK(n >= 8);  // those that had begun
  CHECK(n <= 64);
}

TEST_CASE("blocks that wait for each other run together, as many as fit the GPU") {
  Gpu gpu(0);
  auto arrived = gpu.scratch<std::uint32_t>(1);
  const auto run = [&](unsigned n) {
    cuda::check(cudaMemsetAsync(arrived.get(), 0, 4, gpu.stream()), "cudaMemsetAsync");
    return error_of(gpu, meet_other_block, {.grid = blocks(n), .block = blocks(1024)}, arrived.get());
  };
  CHECK(run(8) == "");  // four multiprocessors of 2048 threads
  const double before = emulation::set_patience(0.1);
  const std::string text = run(9);
  emulation::set_patience(before);
  CHECK(contains(text, "deadlock"));
  CHECK(contains(text, "thread 0 waits for a flag"));
}

TEST_CASE("kernels of two GPUs wait for each other") {
  emulation::set_devices(2);
  Gpu one(0), two(1);
  two.use();
  (void)cudaDeviceEnablePeerAccess(0, 0);
  auto flags = one.scratch<std::uint32_t>(2);
  cuda::check(cudaMemsetAsync(flags.get(), 0, 8, one.stream()), "cudaMemsetAsync");
  one.wait();
  const Launch how{.grid = blocks(1), .block = blocks(64)};
  one.run(hand_over, how, flags.get(), flags.get() + 1, 50u);
  two.run(hand_over, how, flags.get() + 1, flags.get(), 50u);
  two.wait();
  CHECK(results(one, flags, 2) == std::vector<std::uint32_t>{50, 50});
}

TEST_CASE("memory that nobody has written is NaN") {
  Gpu gpu(0);
  float* y = nullptr;
  cuda::check(cudaMalloc(&y, 32 * sizeof(float)), "cudaMalloc");
  std::vector<float> found(32);
  gpu.download(found.data(), y, 128);
  for (const float v : found) CHECK(v != v);
  cuda::check(cudaMemsetAsync(y, 0, 128, gpu.stream()), "cudaMemsetAsync");
  gpu.run(uninitialised, {.grid = blocks(1), .block = blocks(32), .shared = 128}, y);
  gpu.download(found.data(), y, 128);
  for (const float v : found) CHECK(v != v);
  cuda::check(cudaFree(y), "cudaFree");
}
