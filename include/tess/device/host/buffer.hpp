// Buffer: zeroed bytes on a cache line, in huge pages where the system grants them.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <new>
#include <utility>

#include "../../core/error.hpp"
#include "../../core/types.hpp"

#if defined(__linux__)
#include <sys/mman.h>
#endif

namespace tess::host {

/// Owns `size()` bytes at an address that is a multiple of 64. Move-only. Large ones come straight from the kernel,
/// page
/// by page as they are first written, so that each thread's part is near it and peak memory is what is used.
class Buffer {
 public:
  Buffer() = default;

  /// Throws `Error` if the system has not that much memory.
  explicit Buffer(index_t bytes) : size_(bytes) {
    if (bytes <= 0) {
      size_ = 0;
      return;
    }
#if defined(__linux__)
    if (bytes >= huge) {
      mapped_ = (bytes + 2 * huge - 1) / huge * huge;  // room to begin at a huge page
      base_ = ::mmap(nullptr, static_cast<std::size_t>(mapped_), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
                     -1, 0);
      if (base_ == MAP_FAILED) {
        base_ = nullptr;
        fail("out of memory: ", bytes,
             " bytes were asked for.\nUse a smaller model, more devices, or a machine with more memory.");
      }
      const auto at = reinterpret_cast<std::uintptr_t>(base_);
      const std::uintptr_t aligned = (at + huge - 1) / huge * huge;
      data_ = static_cast<std::byte*>(base_) + (aligned - at);
      ::madvise(data_, static_cast<std::size_t>((bytes + huge - 1) / huge * huge), MADV_HUGEPAGE);  // a wish
      return;
    }
#endif
    base_ = ::operator new (static_cast<std::size_t>(bytes), std::align_val_t{64}, std::nothrow);
    if (base_ == nullptr) fail("out of memory: ", bytes, " bytes were asked for.");
    data_ = static_cast<std::byte*>(base_);
    std::memset(data_, 0, static_cast<std::size_t>(bytes));
  }

  Buffer(Buffer&& other) noexcept { swap(other); }
  Buffer& operator=(Buffer&& other) noexcept {
    Buffer(std::move(other)).swap(*this);
    return *this;
  }
  ~Buffer() {
    if (base_ == nullptr) return;
#if defined(__linux__)
    if (mapped_ > 0) {
      ::munmap(base_, static_cast<std::size_t>(mapped_));
      return;
    }
#endif
    ::operator delete (base_, std::align_val_t{64});
  }

  void swap(Buffer& other) noexcept {
    std::swap(base_, other.base_);
    std::swap(data_, other.data_);
    std::swap(size_, other.size_);
    std::swap(mapped_, other.mapped_);
  }

  index_t size() const { return size_; }
  std::byte* data() { return data_; }
  const std::byte* data() const { return data_; }

  /// The bytes as elements of a trivial type T.
  template <class T>
  T* as() {
    return reinterpret_cast<T*>(data_);
  }
  template <class T>
  const T* as() const {
    return reinterpret_cast<const T*>(data_);
  }

 private:
  static constexpr index_t huge = index_t{2} << 20;

  void* base_ = nullptr;
  std::byte* data_ = nullptr;
  index_t size_ = 0;
  index_t mapped_ = 0;  // bytes at base_ if it was mapped
};

/// Working memory of one kernel on this thread: at least `bytes`, kept for the next call. `Use` tells the users apart.
template <class Use>
std::byte* scratch(index_t bytes) {
  thread_local Buffer buffer;
  if (buffer.size() < bytes) {
    buffer = Buffer();  // free first
    buffer = Buffer(bytes + bytes / 4);
  }
  return buffer.data();
}

}  // namespace tess::host
