// Bootstrap: a few bytes of the first process are brought to all others over TCP, so that they can connect without MPI.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <array>
#include <cstdint>
#include <list>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "../../core/types.hpp"
#include "socket.hpp"

namespace tess::cuda {

/// Where processes meet: process 0 listens at `address`, "host:port" or "[v6]:port"; nobody waits longer than
/// `patience` seconds.
struct Meeting {
  std::string address;
  index_t process = 0, processes = 1;
  double patience = 60;
};

namespace detail {
/// The fields of a message, 32 bits each, most significant byte first.
template <std::size_t N>
std::string packed_words(const std::array<std::uint32_t, N>& words) {
  std::string s;
  for (const std::uint32_t w : words)
    for (int shift = 24; shift >= 0; shift -= 8) s += static_cast<char>(w >> shift & 255u);
  return s;
}
template <std::size_t N>
std::array<std::uint32_t, N> unpacked_words(std::string_view s) {
  std::array<std::uint32_t, N> words{};
  for (std::size_t i = 0; i < 4 * N; ++i) words[i / 4] = words[i / 4] << 8 | static_cast<unsigned char>(s[i]);
  return words;
}

inline constexpr std::uint32_t meeting_magic = 0x54657373, meeting_version = 1, most_meeting_bytes = 1 << 16;
// hello:  magic, version, processes, process
// answer: magic, version, processes, bytes; then as many bytes, none where `processes` or the version differ
inline constexpr std::size_t hello_bytes = 16;

/// Gives `bytes` to all other processes. Who connects and says nothing, or nonsense, is not waited for.
inline void give(const Meeting& m, const std::string& bytes) {
  struct Guest {
    Socket socket;
    std::string said;
    Clock::time_point until;
  };
  constexpr double seconds_for_hello = 5;
  constexpr std::size_t most_guests = 4096;
  const Socket door = listener(m.address);
  const auto until = after_seconds(m.patience);
  std::vector<char> came(static_cast<std::size_t>(m.processes), 0);
  came[0] = 1;
  index_t missing = m.processes - 1;
  std::list<Guest> guests;
  const auto answer = [&](Guest& g) {  // who has said everything
    const auto [magic, version, processes, process] = unpacked_words<4>(g.said);
    if (magic != meeting_magic) return;
    const bool fits = version == meeting_version && processes == static_cast<std::uint32_t>(m.processes) &&
                      process > 0 && process < processes;
    const auto size = fits ? static_cast<std::uint32_t>(bytes.size()) : 0u;
    const std::string head =
        packed_words<4>({meeting_magic, meeting_version, static_cast<std::uint32_t>(m.processes), size});
    const bool sent = g.socket.send_all(fits ? head + bytes : head, after_seconds(seconds_for_hello));
    if (sent && fits && !std::exchange(came[process], 1)) --missing;
  };
  while (missing > 0) {
    if (Clock::now() >= until) {
      std::string who;
      for (std::size_t p = 0; p < came.size(); ++p)
        if (!came[p]) who += " " + std::to_string(p);
      fail("[cuda] ", m.processes - missing, " of ", m.processes, " processes met at ", m.address, " within ",
           static_cast<index_t>(m.patience), " s; missing:", who);
    }
    std::vector<pollfd> polled{{door.number(), POLLIN, 0}};
    for (const Guest& g : guests) polled.push_back({g.socket.number(), POLLIN, 0});
    (void)::poll(polled.data(), polled.size(), std::min(100, milliseconds_until(until)));
    for (auto it = guests.begin(); it != guests.end();) {
      char buffer[hello_bytes];
      const ssize_t n = ::recv(it->socket.number(), buffer, hello_bytes - it->said.size(), 0);
      if (n > 0) it->said.append(buffer, static_cast<std::size_t>(n));
      const bool complete = it->said.size() == hello_bytes;
      if (complete) answer(*it);
      const bool gone = n == 0 || (n < 0 && !Socket::is_patient()) || Clock::now() >= it->until;
      it = complete || gone ? guests.erase(it) : std::next(it);
    }
    if (polled[0].revents)
      if (Socket s(::accept(door.number(), nullptr, nullptr)); s && guests.size() < most_guests)
        guests.push_back({std::move(s), {}, after_seconds(seconds_for_hello)});
  }
}

/// What process 0 gives.
inline std::string taken(const Meeting& m) {
  const auto until = after_seconds(m.patience);
  const Addresses known(m.address, false);
  const std::string hello = packed_words<4>(
      {meeting_magic, meeting_version, static_cast<std::uint32_t>(m.processes), static_cast<std::uint32_t>(m.process)});
  const char* why = "nobody listens there";
  while (Clock::now() < until) {
    const Socket s = connected(known.first, until);
    std::string head(hello_bytes, '\0');
    if (s) {
      why = "what listens there does not answer as process 0 of this program does";
      if (s.send_all(hello, until) && s.receive_all(head.data(), head.size(), until)) {
        const auto [magic, version, processes, size] = unpacked_words<4>(head);
        if (magic != meeting_magic || size > most_meeting_bytes)
          fail("[cuda] process ", m.process, ": another program listens at ", m.address,
               ". Choose another port (MASTER_PORT).");
        if (version != meeting_version)
          fail("[cuda] process ", m.process, ": process 0 runs another version of the program");
        if (processes != static_cast<std::uint32_t>(m.processes))
          fail("[cuda] process ", m.process, " was told that there are ", m.processes,
               " processes, process 0 that there are ", static_cast<index_t>(processes));
        if (size == 0) fail("[cuda] process 0 does not know a process ", m.process, " of ", m.processes);
        std::string bytes(size, '\0');
        if (s.receive_all(bytes.data(), bytes.size(), until)) return bytes;
      }
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
  }
  fail("[cuda] process ", m.process, " waited ", static_cast<index_t>(m.patience), " s for process 0 at ", m.address,
       ": ", why);
}
}  // namespace detail

/// `make()`, called in process 0 alone, to all processes.
template <class F>
std::string brought_from_first(const Meeting& m, F make) {
  if (m.process < 0 || m.process >= m.processes)
    fail("[cuda] there is no process ", m.process, " of ", m.processes, "; they are numbered from 0");
  if (m.processes > 1 && m.address.empty())
    fail("[cuda] ", m.processes,
         " processes need an address to meet at: set MASTER_ADDR and MASTER_PORT, or Options::meeting");
  if (m.process > 0) return detail::taken(m);
  std::string bytes = make();
  if (m.processes > 1) detail::give(m, bytes);
  return bytes;
}

}  // namespace tess::cuda
