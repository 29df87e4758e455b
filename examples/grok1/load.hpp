// Loading: parameters from the official checkpoint, or dummy ones of any size that take no disk.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <sys/mman.h>
#include <unistd.h>

#include <cmath>
#include <cstring>
#include <filesystem>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include <tess/io/checkpoint.hpp>
#include <tess/io/load.hpp>

#include "leaves.hpp"
#include "model.hpp"

namespace grok1 {

/// Called after each parameter with the number loaded so far and the number in all.
using Progress = std::function<void(index_t done, index_t all)>;

namespace detail {

inline void check_leaf(const Leaf& expected, const io::Leaf& found, const std::string& where) {
  if (found.weight.shape != expected.shape)
    fail(where, ": ", expected.path, " should have the shape ", io::to_string(std::span<const index_t>(expected.shape)),
         ", found ", io::describe(found.weight),
         "\nIs this the checkpoint of another configuration, or are two files swapped?");
  if (expected.quantized() != found.scales.has_value())
    fail(where, ": ", expected.path, " should be ", expected.quantized() ? "int8 with bf16 scales" : "plain f32",
         ", found ", found.scales ? "int8 with bf16 scales" : "a plain ",
         found.scales ? "" : io::describe(found.weight));
}

template <class C, class M, class D, class Read>
void load_each(D& dev, LanguageModel<C, M, D>& model, const std::vector<Leaf>& expected, const Progress& progress,
               Read read) {
  std::map<std::string, const Leaf*> by_path;
  for (const Leaf& leaf : expected) by_path.emplace(leaf.path, &leaf);
  index_t done = 0;
  model.parameters([&](const nn::Scope& scope, auto& tensor) {
    const auto it = by_path.find(scope.path());
    if (it == by_path.end())
      fail("the model has a parameter ", scope.path(), " that no checkpoint of this configuration holds");
    const auto [leaf, where] = read(*it->second);
    check_leaf(*it->second, leaf, where);
    io::load(dev, tensor, leaf, where);
    if (progress) progress(++done, static_cast<index_t>(expected.size()));
  });
}

/// A long run of bytes that is one small block of memory, mapped again and again: weights of any size without their
/// memory.
class RepeatedMemory {
 public:
  RepeatedMemory(std::span<const std::byte> block, std::size_t size)
      : size_((size + block.size() - 1) / block.size() * block.size()) {
    const int file = memfd_create("tess-dummy", 0);
    if (file < 0 || ftruncate(file, static_cast<off_t>(block.size())) != 0 ||
        ::write(file, block.data(), block.size()) != static_cast<ssize_t>(block.size()))
      fail("dummy weights: no memory file of ", static_cast<index_t>(block.size()), " bytes");
    auto* base =
        static_cast<std::byte*>(mmap(nullptr, size_, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0));
    if (base == MAP_FAILED) fail("dummy weights: no address space for ", static_cast<index_t>(size_), " bytes");
    for (std::size_t at = 0; at < size_; at += block.size())
      if (mmap(base + at, block.size(), PROT_READ, MAP_PRIVATE | MAP_FIXED, file, 0) == MAP_FAILED)
        fail("dummy weights: cannot map the block at ", static_cast<index_t>(at));
    close(file);
    data_ = std::shared_ptr<const std::byte>(base,
                                             [n = size_](const std::byte* p) { munmap(const_cast<std::byte*>(p), n); });
  }
  const std::shared_ptr<const std::byte>& data() const { return data_; }

 private:
  std::size_t size_;
  std::shared_ptr<const std::byte> data_;
};

/// Leaves of pseudo-random numbers of the right size: weights of variance 1/K, norms of ones.
class DummyLeaves {
 public:
  DummyLeaves(std::uint64_t seed, const std::vector<Leaf>& leaves) : state_(seed * 2 + 1) {
    std::size_t bytes8 = 0, bytes32 = 0;
    for (const Leaf& leaf : leaves) {
      std::size_t n = 1;
      for (const index_t e : leaf.shape) n *= static_cast<std::size_t>(e);
      if (leaf.quantized()) bytes8 = std::max(bytes8, n);
      else bytes32 = std::max(bytes32, n * 4);
    }
    constexpr std::size_t block = std::size_t{16} << 20;
    std::vector<std::byte> random(block);
    for (auto& b : random) b = static_cast<std::byte>(static_cast<std::int8_t>(next() % 255) - 127);
    if (bytes8) int8_ = RepeatedMemory(random, bytes8 + block).data();
    std::vector<f32> normal(block / 4);
    for (f32& v : normal) {  // a sum of four uniforms: close enough to a normal, of variance 1/3 before scaling
      f32 sum = 0;
      for (int i = 0; i < 4; ++i) sum += static_cast<f32>(next() % 65536) / 65536.0f - 0.5f;
      v = sum * 0.035f;
    }
    if (bytes32) f32_ = RepeatedMemory(std::as_bytes(std::span(normal)), bytes32 + block).data();
  }

  io::Leaf operator()(const Leaf& leaf) {
    std::size_t n = 1;
    for (const index_t e : leaf.shape) n *= static_cast<std::size_t>(e);
    io::Leaf out;
    out.weight.shape = leaf.shape;
    const std::size_t start = next() % (std::size_t{8} << 20) / 64 * 64;  // each leaf begins elsewhere
    if (leaf.quantized()) {
      out.weight.dtype = io::DType::i8;
      out.weight.data = {int8_.get() + start, n};
      out.weight.owner = int8_;
      const index_t k = leaf.shape[leaf.shape.size() - 2];
      io::ArrayView scales;
      scales.dtype = io::DType::bf16;
      scales.shape = leaf.shape;
      scales.shape[leaf.shape.size() - 2] = leaf.groups;
      const auto values =
          std::make_shared<std::vector<bf16>>(n / static_cast<std::size_t>(k) * static_cast<std::size_t>(leaf.groups),
                                              bf16(1.0f / (73.0f * std::sqrt(static_cast<f32>(k)))));
      scales.data = std::as_bytes(std::span(*values));
      scales.owner = values;
      out.scales = scales;
    } else if (leaf.shape.size() == 1) {
      const auto ones = std::make_shared<std::vector<f32>>(n, 1.0f);
      out.weight.dtype = io::DType::f32;
      out.weight.data = std::as_bytes(std::span(*ones));
      out.weight.owner = ones;
    } else {
      out.weight.dtype = io::DType::f32;
      out.weight.data = {f32_.get() + start, n * 4};
      out.weight.owner = f32_;
    }
    return out;
  }

 private:
  std::uint64_t state_;
  std::shared_ptr<const std::byte> int8_, f32_;

  std::uint32_t next() {  // Knuth's MMIX generator, its upper half
    state_ = state_ * 6364136223846793005u + 1442695040888963407u;
    return static_cast<std::uint32_t>(state_ >> 33);
  }
};
}  // namespace detail

/// Reads every parameter of the official checkpoint in `folder` (tensor00000_000 … or its parent), one leaf at a time,
/// each shard's slice straight from the mapped file into the memory of its device. Every file is checked against the configuration first by
/// name, then by shape and dtype. Throws Error naming file, parameter, expected and found.
template <class C, class M, class D>
void load_checkpoint(D& dev, LanguageModel<C, M, D>& model, const std::filesystem::path& folder,
                     const Progress& progress = {}) {
  const std::vector<Leaf> expected = leaves(model.config);
  const io::PickleCheckpoint checkpoint(folder, leaf_paths(model.config));
  detail::load_each(dev, model, expected, progress, [&](const Leaf& leaf) {
    return std::pair(checkpoint.read(leaf.path), checkpoint.file_of(leaf.path).string());
  });
}

/// Pseudo-random parameters that depend on nothing but the seed and the configuration: for measuring and for trying
/// meshes.
template <class C, class M, class D>
void load_dummy_weights(D& dev, LanguageModel<C, M, D>& model, std::uint64_t seed = 0, const Progress& progress = {}) {
  const std::vector<Leaf> expected = leaves(model.config);
  detail::DummyLeaves dummy(seed, expected);
  std::map<std::string, io::Leaf>
      by_path;  // in the order of the files, whatever the order of the model's own parameters
  for (const Leaf& leaf : expected) by_path.emplace(leaf.path, dummy(leaf));
  detail::load_each(dev, model, expected, progress,
                    [&](const Leaf& leaf) { return std::pair(by_path.at(leaf.path), "dummy weights: " + leaf.path); });
}

}  // namespace grok1
