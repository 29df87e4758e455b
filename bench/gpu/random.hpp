// Random numbers in GPU memory, and models with random parameters, without a byte from the host.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <tess/core/split_mix.hpp>
#include <tess/cuda.hpp>
#include <tess/device/cuda/owned_weights.hpp>

namespace bench {

using namespace tess;

namespace detail {
/// Uniform in [-spread, spread), int8 in -127 ... 127.
template <class T>
__global__ void fill_random(T* out, index_t n, unsigned long long seed, f32 spread) {
  for (index_t i = static_cast<index_t>(blockIdx.x) * blockDim.x + threadIdx.x; i < n;
       i += static_cast<index_t>(gridDim.x) * blockDim.x) {
    unsigned long long z = seed + static_cast<unsigned long long>(i) * 0x9e3779b97f4a7c15ull;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
    const f32 u = static_cast<f32>(static_cast<int>(z >> 32)) * 0x1p-31f;
    if constexpr (std::is_same_v<T, std::int8_t>) out[i] = static_cast<std::int8_t>(static_cast<int>(u * 127.0f));
    else out[i] = static_cast<T>(u * spread);
  }
}
}  // namespace detail

template <class T>
void fill_random(cuda::Gpu& gpu, T* out, index_t n, unsigned long long seed, f32 spread = 1) {
  gpu.run(detail::fill_random<T>,
          {.grid = cuda::blocks(std::min<index_t>(4096, cuda::ceil_div(n, 256))), .block = cuda::blocks(256)}, out, n,
          seed, spread);
}

/// Elements of a parameter or activation whose extents are set: variance about 1 / K for matrices.
template <AnyTensor X>
void randomize(Cuda& dev, X& x, unsigned long long seed) {
  using T = typename X::value_type;
  if constexpr (is_packed<T>) {
    using E = cuda::weight_element_t<unpacked_t<T>>;
    using Shard = typename X::storage_type::Shard;
    const index_t k = x.local_extent(X::rank - 2), n = x.local_extent(X::rank - 1);
    const index_t count = X::rank == 3 ? x.local_extent(0) : 1;
    const f32 spread = std::sqrt(3.0f / static_cast<f32>(x.extent(X::rank - 2)));
    std::vector<Shard> shards(static_cast<std::size_t>(X::mesh::size));
    dev.each_rank<X>([&](index_t r, cuda::Gpu& gpu) {
      index_t group_rows = k, offset = 0;
      if constexpr (is_q8<unpacked_t<T>>) {
        group_rows = x.extent(X::rank - 2) / unpacked_t<T>::groups;
        offset = shard_index<typename X::mesh>(X::sharding[X::rank - 2], r) * k % group_rows;
      }
      auto owned =
          std::make_shared<cuda::OwnedWeights<E>>(cuda::blank_weights<E>(gpu, count, k, n, true, group_rows, offset));
      fill_random(gpu, const_cast<E*>(owned->view.data), count * k * owned->view.pitch,
                  seed + 7u * static_cast<unsigned>(r), spread);
      if constexpr (cuda::Weights<E>::has_scales) {
        fill_random(gpu, const_cast<bf16*>(owned->view.scales), count * owned->view.groups * owned->view.scale_pitch,
                    ~seed, spread / 127);
      }
      shards[static_cast<std::size_t>(r)] = std::move(owned);
    });
    x.storage() = typename X::storage_type(std::move(shards));
  } else if constexpr (is_table<T>) {
    std::vector<typename X::storage_type::Shard> shards(static_cast<std::size_t>(X::mesh::size));
    dev.each_rank<X>([&](index_t r, cuda::Gpu& gpu) {
      auto owned = std::make_shared<cuda::OwnedEmbedding>();
      cuda::EmbeddingRows& e = owned->view;
      e.vocabulary = x.local_extent(0), e.width = x.local_extent(1), e.pitch = cuda::round_up(e.width, 8);
      owned->rounded = gpu.memory().keep(e.vocabulary * e.pitch * 2, gpu.stream());
      e.rounded = static_cast<const bf16*>(owned->rounded.get());
      fill_random(gpu, static_cast<bf16*>(owned->rounded.get()), e.vocabulary * e.pitch,
                  seed + static_cast<unsigned>(r));
      shards[static_cast<std::size_t>(r)] = std::move(owned);
    });
    x.storage() = typename X::storage_type(std::move(shards));
  } else {
    x = make_state<X>(dev, x.extents());
    dev.each_rank<X>([&](index_t r, cuda::Gpu& gpu) {
      if constexpr (std::is_same_v<T, f32> || std::is_same_v<T, bf16>)
        fill_random(gpu, x.storage().data(r), x.local_extents().size(), seed + static_cast<unsigned>(r));
    });
  }
}
template <AnyTensor X>
X random_tensor(Cuda& dev, const Extents<typename X::shape>& extents, unsigned long long seed) {
  X x(extents, {});
  randomize(dev, x, seed);
  return x;
}

}  // namespace bench
