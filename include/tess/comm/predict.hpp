// predict: the time of a bill on a machine: a roofline for every verb, latency and bandwidth for every collective.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "cost.hpp"
#include "machine.hpp"
#include "pipeline.hpp"

namespace tess {

/// Seconds. Nothing overlaps unless `communication` is told so; kernels reach the machine's rates: a lower bound for
/// programs that do one thing at a time.
struct Prediction {
  double compute = 0;                     // Σ max(FLOPs / rate, bytes / bandwidth) over verbs
  double data = 0, tensor = 0, pipe = 0;  // collectives over data axes, over all others; passes between stages
  double bubble = 0;                      // stages wait

  /// α·C_data + β·C_tensor + γ·C_pipe, each weight the part of its term that no computation hides.
  constexpr double communication(double alpha = 1, double beta = 1, double gamma = 1) const {
    return alpha * data + beta * tensor + gamma * pipe;
  }
  constexpr double total() const { return compute + communication() + bubble; }
};

/// What a program's axes are for, where the bill alone does not tell.
struct Parallelism {
  unsigned data_axes = 0;      // positions of the mesh that hold different rows of a batch, one bit each
  Pipeline pipeline{};         // the bill is that of one microbatch on a mesh that holds all stages after one another
  index_t boundary_bytes = 0;  // what one microbatch passes from a stage to the next, on one device
};

/// How the groups of a collective lie in the hosts of a machine.
struct GroupPlacement {
  index_t hosts = 1;    // that a group spans, at most
  index_t in_host = 1;  // members of a group in one host, at least
};

namespace detail {
constexpr index_t host_number(const Machine& m, const MeshValue& mesh, index_t device) {
  if (mesh.between_hosts == 0) return device / m.devices_per_host;
  index_t host = 0;
  for (int a = 0; a < mesh.rank; ++a)
    if (mesh.between_hosts >> a & 1u) host = host * mesh.size(a) + mesh.coordinate(device, a);
  return host;
}
/// The i-th member of the group of `device` over `axes`.
constexpr index_t group_member(const MeshValue& mesh, unsigned axes, index_t device, index_t i) {
  for (int a = mesh.rank - 1; a >= 0; --a)
    if (axes >> a & 1u) {
      device += (i % mesh.size(a) - mesh.coordinate(device, a)) * mesh.stride(a);
      i /= mesh.size(a);
    }
  return device;
}
}  // namespace detail

/// Where the mesh names its hosts (HybridAxis), those count; otherwise devices fill the hosts of the machine in order.
constexpr GroupPlacement place_group(const Machine& m, const MeshValue& mesh, unsigned axes) {
  index_t n = 1;
  for (int a = 0; a < mesh.rank; ++a)
    if (axes >> a & 1u) n *= mesh.size(a);
  if (m.hosts == 1 && mesh.between_hosts == 0) return {1, n};
  GroupPlacement worst{1, n};
  for (index_t r = 0; r < mesh.devices(); ++r) {
    index_t here = 0, hosts = 0, last = -1;
    for (index_t i = 0; i < n; ++i) {
      const index_t host = detail::host_number(m, mesh, detail::group_member(mesh, axes, r, i));
      here += host == detail::host_number(m, mesh, r);
      hosts += host != last;
      last = host;
    }
    worst.in_host = here < worst.in_host ? here : worst.in_host;
    worst.hosts = hosts > worst.hosts ? hosts : worst.hosts;
  }
  return worst;
}

/// Seconds of the calls of one line. Source: Williams et al., doi 10.1145/1498765.1498785 (roofline).
constexpr double seconds(const WorkLine& w, const Machine& m) {
  const double arithmetic = static_cast<double>(w.flops) / m.flops,
               memory = static_cast<double>(w.memory_bytes()) / m.bandwidth;
  return arithmetic > memory ? arithmetic : memory;
}

/// Within a host: α and β of its wires. Between hosts a gather or a reduction passes every host's border once, through the
/// ports of all members there, and of its messages one a host crosses it (as NCCL's model has it, src/graph/tuning.cc);
/// what goes from each to each crosses with the part of its bytes that comes from other hosts.
constexpr double seconds(const TransferLine& t, const Machine& m, const MeshValue& mesh) {
  const auto least = [](auto a, auto b) { return b < a ? b : a; };
  GroupPlacement at = place_group(m, mesh, t.axes);
  at.hosts = least(at.hosts, t.devices), at.in_host = least(at.in_host, t.devices);
  if (at.hosts == 1 || t.devices == 1) return m.within.seconds(t.count, t.messages, t.bytes);
  const double n = static_cast<double>(t.devices), outside = (n - static_cast<double>(at.in_host)) / (n - 1),
               crossing = static_cast<double>(at.hosts - 1) / (n - 1);
  const auto messages = static_cast<double>(t.messages), bytes = static_cast<double>(t.bytes);
  const double start = static_cast<double>(t.count) * (m.between.call > m.within.call ? m.between.call : m.within.call);
  const bool ring =
      t.kind == Collective::all_gather || t.kind == Collective::reduce_scatter || t.kind == Collective::all_reduce;
  if (ring)
    return start + messages * (crossing * m.between.message + (1 - crossing) * m.within.message) +
           bytes / least(m.within.bandwidth, static_cast<double>(at.in_host) * m.between.bandwidth);
  const double far = outside * bytes / m.between.bandwidth, near = (1 - outside) * bytes / m.within.bandwidth;
  return start + messages * (outside * m.between.message + (1 - outside) * m.within.message) +
         (far > near ? far : near);
}

/// Received over the links between the hosts of a machine by the busiest device of every call, in bytes.
constexpr index_t bytes_between_hosts(const Cost& cost, const Machine& m, const MeshValue& mesh) {
  return cost.transfers.sum([&](const TransferLine& t) {
    const GroupPlacement at = place_group(m, mesh, t.axes);
    return at.hosts > 1 ? t.bytes : index_t{0};
  });
}

/// The time of the bill's program on one device of `mesh`, all devices at once.
constexpr Prediction predict(const Cost& cost, const Machine& m, const MeshValue& mesh, const Parallelism& how = {}) {
  Prediction p;
  p.compute = cost.work.sum([&](const WorkLine& w) { return seconds(w, m); });
  for (const TransferLine& t : cost.transfers)
    ((t.axes & ~how.data_axes) == 0 ? p.data : p.tensor) += seconds(t, m, mesh);
  const Pipeline& pipe = how.pipeline;
  const double share = static_cast<double>(pipe.microbatches) / static_cast<double>(pipe.stages);
  p.compute *= share, p.data *= share, p.tensor *= share;
  p.bubble = (p.compute + p.data + p.tensor) * pipe.overhead();
  const Wire& between_stages = m.hosts > 1 ? m.between : m.within;
  p.pipe = between_stages.seconds(pipe.passes(), pipe.passes(), pipe.passes() * how.boundary_bytes);
  return p;
}

}  // namespace tess
