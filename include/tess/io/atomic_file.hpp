// AtomicFile: a file that appears under its name whole or not at all.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstring>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "../core/error.hpp"

namespace tess::io {

/// The bytes go into a file beside `path`, which commit() renames; one that is destroyed before removes it. So a crash
/// or a full disk leaves the old file as it was.
/// Errors: a file that cannot be made, a full disk.
class AtomicFile {
 public:
  explicit AtomicFile(std::filesystem::path path)
      : path_(std::move(path)), beside_(path_.string() + ".part-" + std::to_string(::getpid())) {
    ::unlink(beside_.c_str());  // of a process that crashed
    file_ = ::open(beside_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (file_ < 0) fail(beside_.string(), ": cannot be created: ", std::strerror(errno), ".");
  }
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;
  ~AtomicFile() {
    if (file_ < 0) return;
    ::close(file_);
    ::unlink(beside_.c_str());
  }

  [[nodiscard]] const std::filesystem::path& path() const { return path_; }

  void write(std::span<const std::byte> bytes, std::size_t offset) {
    while (!bytes.empty()) {
      const ssize_t n = ::pwrite(file_, bytes.data(), bytes.size(), static_cast<off_t>(offset));
      if (n < 0 && errno == EINTR) continue;
      if (n <= 0) refuse("cannot be written");
      bytes = bytes.subspan(static_cast<std::size_t>(n));
      offset += static_cast<std::size_t>(n);
    }
  }

  /// Makes the file appear.
  void commit() {
    if (::fsync(file_) != 0) refuse("cannot be written to disk");
    const int closed = ::close(file_);
    file_ = -1;
    if (closed != 0 || ::rename(beside_.c_str(), path_.c_str()) != 0) {
      const int reason = errno;
      ::unlink(beside_.c_str());
      fail(path_.string(), ": cannot be put in place: ", std::strerror(reason), ".");
    }
  }

 private:
  [[noreturn]] void refuse(std::string_view what) const {
    fail(path_.string(), ": ", std::string(what), ": ", std::strerror(errno),
         ".\n  The file is left as it was before.");
  }

  std::filesystem::path path_, beside_;
  int file_ = -1;
};

}  // namespace tess::io
