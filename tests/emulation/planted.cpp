// Mistakes of the kinds that kernels have: each is found by the emulator or by a sanitizer, and not where it is mended.
// SPDX-License-Identifier: Apache-2.0
//
// planted <fault> planted|mended. tests/cmake/emulation.cmake says what each has to print.
#include <cmath>
#include <iostream>
#include <map>
#include <string>
#include <tess/device/cuda/gpu.hpp>
#include <tess/device/cuda/isa.hpp>
#include <vector>

namespace {

using namespace tess;
using tess::cuda::blocks;
using tess::cuda::Event;
using tess::cuda::Gpu;
using tess::cuda::shared_memory;

constexpr unsigned all_lanes = 0xffffffffu;
float* shared_floats() { return reinterpret_cast<float*>(shared_memory()); }

// ---- found by the emulator itself
__global__ void deadlock(bool mended) {
  if (mended || threadIdx.x == 3) __syncthreads();
  else __syncwarp();
}
__global__ void divergence(float* y, bool mended) {
  float v = 1;
  if (mended || threadIdx.x == 0) v = __shfl_sync(all_lanes, v, 0);
  if (mended || threadIdx.x > 0) __syncwarp();
  y[threadIdx.x] = v;
}
__global__ void missing_wait_for_copies(const float* x, float* y, bool mended) {
  cuda::copy_async(shared_memory() + 16 * threadIdx.x, x + 4 * threadIdx.x);
  cuda::commit_copies();
  if (mended) cuda::wait_for_copies<0>();
  __syncthreads();
  y[threadIdx.x] = shared_floats()[threadIdx.x];
}
__global__ void wait_for_flag(std::uint32_t* flag, bool mended) {
  if (mended && blockIdx.x == 1) cuda::store_release(flag, 1);
  if (blockIdx.x == 0)
    while (cuda::load_acquire(flag) == 0) cuda::pause();
}
__global__ void fill_with_ones(float* y) { y[index_t{blockIdx.x} * blockDim.x + threadIdx.x] = 1; }
__global__ void margin_of_shared_memory(float* y, bool mended) {
  shared_floats()[threadIdx.x + (mended ? 0 : 1)] = 1;
  __syncthreads();
  y[threadIdx.x] = shared_floats()[threadIdx.x];
}
__global__ void overlap(const float* x, float* y, bool before, bool after) {
  if (before) cuda::wait_for_previous_kernel();
  const float v = x[threadIdx.x];
  if (after) cuda::wait_for_previous_kernel();
  y[threadIdx.x] = v;
}

// ---- found by AddressSanitizer and UndefinedBehaviorSanitizer
__global__ void shared_memory_overrun(float* y, bool mended) {
  const float* s = shared_floats();
  if (threadIdx.x < blockDim.x - 1 || !mended) y[threadIdx.x] = s[threadIdx.x + 1];
}
__global__ void global_memory_overrun(float* y, index_t n) {
  const index_t i = index_t{blockIdx.x} * blockDim.x + threadIdx.x;
  if (i < n) y[i] = 1;
}
__global__ void misaligned_load(const float* x, float* y, bool mended) {
  const auto* words = reinterpret_cast<const cuda::Words*>(x + (mended ? 4 : 1));
  y[threadIdx.x] = __uint_as_float(words->word[0]);
}

// ---- found by ThreadSanitizer
__global__ void missing_syncthreads(float* y, bool mended) {
  shared_floats()[threadIdx.x] = 1;
  if (mended) __syncthreads();
  y[threadIdx.x] = shared_floats()[(threadIdx.x + 1) % blockDim.x];
}
__global__ void second_syncthreads(float* y, bool mended) {  // a fast thread writes again what a slow one still reads
  for (int i = 0; i < 2; ++i) {
    shared_floats()[threadIdx.x] = 1;
    __syncthreads();
    y[threadIdx.x] = shared_floats()[(threadIdx.x + 1) % blockDim.x];
    if (mended) __syncthreads();
  }
}
__global__ void missing_syncwarp(float* y, bool mended) {
  shared_floats()[threadIdx.x] = 1;
  (void)__shfl_xor_sync(all_lanes, 1, 1);  // which orders no memory
  if (mended) __syncwarp();
  y[threadIdx.x] = shared_floats()[threadIdx.x ^ 1];
}
__global__ void copies_of_others(const float* x, float* y, bool mended) {
  cuda::copy_async(shared_memory() + 16 * threadIdx.x, x + 4 * threadIdx.x);
  cuda::commit_copies();
  cuda::wait_for_copies<0>();  // of this thread's
  if (mended) __syncthreads();
  y[threadIdx.x] = shared_floats()[threadIdx.x];
}
__global__ void blocks_add(float* y, bool mended) {
  if (threadIdx.x == 0) y[mended ? blockIdx.x : 0] += 1;
}
__global__ void missing_threadfence(float* y, unsigned* counter,
                                    bool mended) {  // the last block adds up what all wrote
  auto* last = reinterpret_cast<unsigned*>(shared_memory());
  y[blockIdx.x * blockDim.x + threadIdx.x] = 1;
  if (mended) __threadfence();
  __syncthreads();
  if (threadIdx.x == 0) *last = atomicAdd(counter, 1u) == gridDim.x - 1;
  __syncthreads();
  if (!*last) return;
  __threadfence();
  float sum = 0;
  for (unsigned b = 0; b < gridDim.x; ++b) sum += y[b * blockDim.x + threadIdx.x];
  y[threadIdx.x] = sum;
}
__global__ void read_all(const float* x, float* y) { y[threadIdx.x] = x[threadIdx.x]; }
int host_does_not_wait(Gpu& gpu, const float* y, bool mended) {
  gpu.run(fill_with_ones, {.grid = blocks(1), .block = blocks(64)}, const_cast<float*>(y));
  if (mended) gpu.wait();
  return y[0] == 1 ? 0 : 1;
}

int run(const std::string& fault, bool mended) {
  emulation::set_devices(2);
  emulation::set_patience(0.2);
  emulation::set_eager(true);
  Gpu gpu(0), other(1);
  cuda::check(cudaSetDevice(1), "cudaSetDevice");
  cuda::check(cudaDeviceEnablePeerAccess(0, 0), "cudaDeviceEnablePeerAccess");
  float *x = nullptr, *y = nullptr;  // [256]
  unsigned* counter = nullptr;
  gpu.use();
  cuda::check(cudaMalloc(&x, 256 * sizeof(float)), "cudaMalloc");
  cuda::check(cudaMalloc(&y, 256 * sizeof(float)), "cudaMalloc");
  cuda::check(cudaMalloc(&counter, sizeof(unsigned)), "cudaMalloc");
  for (void* p : {static_cast<void*>(x), static_cast<void*>(y)})
    cuda::check(cudaMemsetAsync(p, 0, 1024, gpu.stream()), "");
  cuda::check(cudaMemsetAsync(counter, 0, sizeof(unsigned), gpu.stream()), "cudaMemsetAsync");
  std::vector<float> on_host(256);

  const cuda::Launch warp{.grid = blocks(1), .block = blocks(32), .shared = 128};
  const cuda::Launch block{.grid = blocks(1), .block = blocks(64), .shared = 1024};
  const cuda::Launch grid{.grid = blocks(4), .block = blocks(64), .shared = 256};
  if (fault == "deadlock") gpu.run(deadlock, warp, mended);
  if (fault == "divergence") gpu.run(divergence, warp, y, mended);
  if (fault == "missing_wait_for_copies") gpu.run(missing_wait_for_copies, block, x, y, mended);
  if (fault == "flag_that_never_comes") gpu.run(wait_for_flag, grid, counter, mended);
  if (fault == "host_pointer") gpu.run(fill_with_ones, block, mended ? y : on_host.data());
  if (fault == "margin_of_shared_memory")
    gpu.run(margin_of_shared_memory, {.grid = blocks(1), .block = blocks(32), .shared = 128}, y, mended);
  if (fault.starts_with("overlap")) {
    gpu.run(fill_with_ones, block, x);
    cuda::Launch how = block;
    how.overlaps = true;
    gpu.run(overlap, how, x, y, mended, !mended && fault == "overlap_reads_early");
  }
  if (fault == "shared_memory_overrun") gpu.run(shared_memory_overrun, warp, y, mended);
  if (fault == "global_memory_overrun")
    gpu.run(global_memory_overrun, {.grid = blocks(5), .block = blocks(64)}, y, mended ? 256 : 257);
  if (fault == "misaligned_load") gpu.run(misaligned_load, warp, x, y, mended);
  if (fault == "missing_syncthreads") gpu.run(missing_syncthreads, block, y, mended);
  if (fault == "second_syncthreads") gpu.run(second_syncthreads, block, y, mended);
  if (fault == "missing_syncwarp") gpu.run(missing_syncwarp, block, y, mended);
  if (fault == "copies_of_others") gpu.run(copies_of_others, block, x, y, mended);
  if (fault == "blocks_add") gpu.run(blocks_add, grid, y, mended);
  if (fault == "missing_threadfence") gpu.run(missing_threadfence, grid, y, counter, mended);
  if (fault == "missing_event") {
    other.wait();
    gpu.wait();
    gpu.run(fill_with_ones, block, x);
    Event event;
    cuda::check(cudaEventRecord(event, gpu.stream()), "cudaEventRecord");
    if (mended) cuda::check(cudaStreamWaitEvent(other.stream(), event, 0), "cudaStreamWaitEvent");
    other.use();
    float* z = nullptr;
    cuda::check(cudaMalloc(&z, 1024), "cudaMalloc");
    other.run(read_all, block, x, z);
    other.wait();
    cuda::check(cudaFree(z), "cudaFree");
    gpu.use();
  }
  if (fault == "host_does_not_wait") return host_does_not_wait(gpu, y, mended);
  gpu.wait();
  if (fault == "missing_wait_for_copies") {
    gpu.download(on_host.data(), y, 64 * 4);
    int nan = 0;
    for (int i = 0; i < 64; ++i) nan += std::isnan(on_host[static_cast<std::size_t>(i)]);
    std::cout << nan << " of 64 results are NaN\n";
    return nan;
  }
  for (void* p : {static_cast<void*>(x), static_cast<void*>(y), static_cast<void*>(counter)}) (void)cudaFree(p);
  return 0;
}

}  // namespace

int main(int count, char** arguments) {
  if (count != 3) return std::cerr << "planted <fault> planted|mended\n", 2;
  try {
    return run(arguments[1], std::string(arguments[2]) == "mended");
  } catch (const std::exception& e) {
    std::cout << e.what() << '\n';
    return 1;
  }
}
