// A file as read-only bytes of the address space: nothing is copied, pages come and go as they are touched.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstring>
#include <filesystem>
#include <memory>
#include <span>
#include <string>

#include "../core/error.hpp"

namespace tess::io {

/// A memory-mapped file. Copies share one mapping; the last one unmaps it.
/// Errors: the file is missing, not readable, no regular file, or empty. Do not shrink the file while it is mapped:
/// the system then answers a read beyond its new end with SIGBUS, which no library can turn into an error.
class MappedFile {
 public:
  explicit MappedFile(const std::filesystem::path& path) : path_(path) {
    const Descriptor file{::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK)};  // a FIFO must not hang us
    if (file.fd < 0) fail(path.string(), ": cannot be opened: ", std::strerror(errno), ".");
    struct stat status {};
    if (::fstat(file.fd, &status) != 0) fail(path.string(), ": cannot be examined: ", std::strerror(errno), ".");
    if (S_ISDIR(status.st_mode)) fail(path.string(), ": is a directory, expected a file.");
    if (!S_ISREG(status.st_mode)) fail(path.string(), ": is not a regular file, which alone can be memory-mapped.");
    if (status.st_size <= 0) fail(path.string(), ": is empty (0 bytes); was its download or copy interrupted?");

    const auto size = static_cast<std::size_t>(status.st_size);
    void* address = ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE, file.fd, 0);
    if (address == MAP_FAILED)
      fail(path.string(), ": cannot be memory-mapped (", size, " bytes): ", std::strerror(errno), ".");
    mapping_ = std::shared_ptr<const std::byte>(static_cast<const std::byte*>(address), Unmap{size, path});
    size_ = size;
  }

  [[nodiscard]] const std::filesystem::path& path() const { return path_; }
  [[nodiscard]] std::size_t size() const { return size_; }
  [[nodiscard]] std::span<const std::byte> bytes() const { return {mapping_.get(), size_}; }

  /// Keeps the mapping alive on behalf of a view of its bytes.
  [[nodiscard]] std::shared_ptr<const void> owner() const { return mapping_; }

  /// Takes the pages of `owner`'s mapping out of this process: they stay in the system's cache and come back when they are
  /// read again. Leaves alone an owner that is no mapped file.
  static void forget(const std::shared_ptr<const void>& owner) {
    if (const Unmap* mapping = std::get_deleter<Unmap>(owner))
      ::madvise(const_cast<void*>(owner.get()), mapping->size, MADV_DONTNEED);
  }

  /// The file that `owner` maps; empty where it maps none.
  [[nodiscard]] static std::filesystem::path path_of(const std::shared_ptr<const void>& owner) {
    const Unmap* mapping = std::get_deleter<Unmap>(owner);
    return mapping ? mapping->path : std::filesystem::path();
  }

  /// Hints to the system, without effect on what is read: the bytes will be read once and in order / soon, all of them.
  void advise_sequential() const { advise(MADV_SEQUENTIAL); }
  void advise_willneed() const { advise(MADV_WILLNEED); }

 private:
  struct Descriptor {
    int fd;
    explicit Descriptor(int opened) : fd(opened) {}
    Descriptor(const Descriptor&) = delete;
    Descriptor& operator=(const Descriptor&) = delete;
    ~Descriptor() {
      if (fd >= 0) ::close(fd);
    }
  };
  struct Unmap {
    std::size_t size;
    std::filesystem::path path;
    void operator()(const std::byte* address) const { ::munmap(const_cast<std::byte*>(address), size); }
  };

  void advise(int advice) const { ::madvise(const_cast<std::byte*>(mapping_.get()), size_, advice); }

  std::filesystem::path path_;
  std::shared_ptr<const std::byte> mapping_;
  std::size_t size_ = 0;
};

}  // namespace tess::io
