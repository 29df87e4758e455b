// Socket: TCP connections that never block for longer than they are told to.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <fcntl.h>
#include <netdb.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <string>
#include <string_view>
#include <utility>

#include "../../core/error.hpp"

namespace tess::cuda::detail {

using Clock = std::chrono::steady_clock;

inline Clock::time_point after_seconds(double seconds) {
  return Clock::now() + std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(seconds));
}
inline int milliseconds_until(Clock::time_point t) {
  const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(t - Clock::now()).count();
  return static_cast<int>(std::clamp<long long>(left, 0, 1000));
}

/// A socket that never blocks. Move-only.
class Socket {
 public:
  Socket() = default;
  explicit Socket(int number) : number_(number) {
    if (number_ >= 0)
      (void)::fcntl(number_, F_SETFL, ::fcntl(number_, F_GETFL, 0) | O_NONBLOCK),
          (void)::fcntl(number_, F_SETFD, FD_CLOEXEC);
  }
  Socket(Socket&& other) noexcept : number_(std::exchange(other.number_, -1)) {}
  Socket& operator=(Socket&& other) noexcept {
    std::swap(number_, other.number_);
    return *this;
  }
  ~Socket() {
    if (number_ >= 0) (void)::close(number_);
  }
  int number() const { return number_; }
  explicit operator bool() const { return number_ >= 0; }

  /// False when time is up.
  bool wait(short events, Clock::time_point until) const {
    for (;;) {
      pollfd p{number_, events, 0};
      if (const int n = ::poll(&p, 1, milliseconds_until(until)); n > 0) return true;
      if (Clock::now() >= until) return false;
    }
  }
  /// False when the other side is gone or time is up.
  bool send_all(std::string_view bytes, Clock::time_point until) const {
    while (!bytes.empty()) {
      const ssize_t n = ::send(number_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (n > 0) bytes.remove_prefix(static_cast<std::size_t>(n));
      else if (!is_patient() || !wait(POLLOUT, until)) return false;
    }
    return true;
  }
  bool receive_all(char* to, std::size_t bytes, Clock::time_point until) const {
    while (bytes > 0) {
      const ssize_t n = ::recv(number_, to, bytes, 0);
      if (n > 0) to += n, bytes -= static_cast<std::size_t>(n);
      else if (n == 0 || !is_patient() || !wait(POLLIN, until)) return false;
    }
    return true;
  }
  static bool is_patient() { return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR || errno == EINPROGRESS; }

 private:
  int number_ = -1;
};

struct Addresses {
  addrinfo* first = nullptr;

  Addresses(const std::string& address, bool listen) {
    const std::size_t colon = address.rfind(':');
    if (colon == std::string::npos || colon + 1 == address.size())
      fail("[cuda] \"", address, "\" is no address to meet at: expected host:port, for example 10.0.0.1:29500");
    std::string host = address.substr(0, colon), port = address.substr(colon + 1);
    if (host.size() > 1 && host.front() == '[' && host.back() == ']') host = host.substr(1, host.size() - 2);
    addrinfo hints{};
    hints.ai_socktype = SOCK_STREAM, hints.ai_flags = AI_NUMERICSERV | (listen ? AI_PASSIVE : 0);
    if (const int status = ::getaddrinfo(host.empty() ? nullptr : host.c_str(), port.c_str(), &hints, &first);
        status != 0)
      fail("[cuda] the address ", address, " at which the processes meet is not known: ", ::gai_strerror(status));
  }
  Addresses(const Addresses&) = delete;
  Addresses& operator=(const Addresses&) = delete;
  ~Addresses() { ::freeaddrinfo(first); }
};

inline Socket listener(const std::string& address) {
  const Addresses known(address, true);
  int error = 0;
  for (const addrinfo* a = known.first; a; a = a->ai_next) {
    Socket s(::socket(a->ai_family, a->ai_socktype, a->ai_protocol));
    const int on = 1;
    if (s) (void)::setsockopt(s.number(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    if (s && ::bind(s.number(), a->ai_addr, a->ai_addrlen) == 0 && ::listen(s.number(), 1024) == 0) return s;
    error = errno;
  }
  fail("[cuda] process 0 cannot listen at ", address, ": ", std::strerror(error),
       error == EADDRNOTAVAIL ? ". The address must be one of the machine on which process 0 runs."
                              : ". Choose another port (MASTER_PORT).");
}

/// A connection, or none where nobody listens yet.
inline Socket connected(const addrinfo* known, Clock::time_point until) {
  for (const addrinfo* a = known; a; a = a->ai_next) {
    Socket s(::socket(a->ai_family, a->ai_socktype, a->ai_protocol));
    if (!s) continue;
    if (::connect(s.number(), a->ai_addr, a->ai_addrlen) == 0) return s;
    if (errno != EINPROGRESS || !s.wait(POLLOUT, std::min(until, after_seconds(5)))) continue;
    int error = 0;
    socklen_t size = sizeof(error);
    if (::getsockopt(s.number(), SOL_SOCKET, SO_ERROR, &error, &size) == 0 && error == 0) return s;
  }
  return {};
}

}  // namespace tess::cuda::detail
