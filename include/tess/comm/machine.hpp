// Machine: how fast the devices of a machine compute, read memory and hear from each other.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <string_view>

#include "../mesh/mesh.hpp"
#include "links.hpp"

namespace tess {

/// One kind of wire: a collective starts once, its messages follow one another, its bytes flow. Times in seconds.
struct Wire {
  double call = 0, message = 0;
  double bandwidth = 0;  // bytes a second into one device

  constexpr double seconds(index_t calls, index_t messages, index_t bytes) const {
    return call * static_cast<double>(calls) + message * static_cast<double>(messages) +
           static_cast<double>(bytes) / bandwidth;
  }
};

/// Hosts of equal devices; device numbers run host by host. Rates are those of one device.
struct Machine {
  std::string_view name{}, text{};
  index_t hosts = 1, devices_per_host = 1;
  double flops = 0;      // a second
  double bandwidth = 0;  // of memory, bytes a second
  index_t memory = 0;    // bytes
  Wire within{}, between{};

  constexpr index_t devices() const { return hosts * devices_per_host; }
};

/// The wires as a policy of the planner, in femtoseconds: `struct OnH100 { static constexpr Links links =
/// links_of(h100x16); };`. An exchange starts as a collective does.
constexpr Links links_of(const Machine& m) {
  const auto ticks = [](double seconds) { return static_cast<index_t>(seconds * 1e15 + 0.5); };
  return {.within = {ticks(m.within.message), ticks(1 / m.within.bandwidth)},
          .between = {ticks(m.between.message), ticks(1 / m.between.bandwidth)},
          .call = ticks(m.between.call > m.within.call ? m.between.call : m.within.call)};
}

// ---- machines, by their data sheets: predictions from them are bounds, not measurements

namespace detail {
// Latencies of NCCL 2.28's own model of a ring, protocol LL (src/graph/tuning.cc): 6.6 µs a call, 0.6 µs a hop by
// NVLink, 2.7 µs a hop by a network.
inline constexpr Wire nvlink_4{.call = 6.6e-6, .message = 0.6e-6, .bandwidth = 450e9};  // 900 GB/s, half of it inwards
inline constexpr Wire infiniband_ndr{.call = 6.6e-6, .message = 2.7e-6, .bandwidth = 50e9};  // 400 Gb/s for each device
}  // namespace detail

/// Eight H100 SXM 80 GB in one host (NVIDIA H100 data sheet: 989 TFLOP/s dense bf16, HBM3 3.35 TB/s, NVLink 900 GB/s).
inline constexpr Machine h100x8{.name = "h100x8",
                                .text = "8 H100 SXM, NVLink",
                                .devices_per_host = 8,
                                .flops = 989e12,
                                .bandwidth = 3.35e12,
                                .memory = 80'000'000'000,
                                .within = detail::nvlink_4,
                                .between = detail::infiniband_ndr};

/// Two such hosts, each device with an InfiniBand NDR port of its own (DGX H100 data sheet: eight ports of 400 Gb/s).
inline constexpr Machine h100x16 = [] {
  Machine m = h100x8;
  m.name = "h100x16", m.text = "2 hosts of 8 H100 SXM, NVLink within, InfiniBand NDR between", m.hosts = 2;
  return m;
}();

/// Eight H200 SXM (NVIDIA H200 data sheet: the same chip with 141 GB of HBM3e at 4.8 TB/s).
inline constexpr Machine h200x8 = [] {
  Machine m = h100x8;
  m.name = "h200x8", m.text = "8 H200 SXM, NVLink", m.bandwidth = 4.8e12, m.memory = 141'000'000'000;
  return m;
}();
inline constexpr Machine h200x16 = [] {
  Machine m = h200x8;
  m.name = "h200x16", m.text = "2 hosts of 8 H200 SXM, NVLink within, InfiniBand NDR between", m.hosts = 2;
  return m;
}();

/// What a CPU does when it is alone with one program.
struct CpuRates {
  double stream = 36e9;  // bytes read a second
  double flops = 940e9;  // products of bf16, times two
  index_t memory = index_t{23} << 30;
};

/// A CPU that simulates a mesh of `shards` devices: each gets its share of everything, and what a device receives is
/// read and written once more. The default rates are those measured on four Zen 4 cores (AVX-512 BF16); a start of all
/// threads takes some 5 µs.
constexpr Machine cpu(index_t shards = 1, const CpuRates& rates = {}) {
  const double share = 1 / static_cast<double>(shards);
  const Wire copy{.call = 5e-6, .bandwidth = rates.stream * share / 2};
  return {.name = "cpu",
          .text = "a CPU that simulates the mesh",
          .devices_per_host = shards,
          .flops = rates.flops * share,
          .bandwidth = rates.stream * share,
          .memory = rates.memory / shards,
          .within = copy,
          .between = copy};
}

}  // namespace tess
