// Calls of the emulated NCCL: what is computed when all ranks have come, and how a stream waits until they have.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <algorithm>
#include <cmath>
#include <set>

#include "nccl_clique.hpp"

namespace emulation {

/// The communicators of unique ids.
struct NcclCliques {
  std::mutex mutex;
  std::map<std::string, std::weak_ptr<NcclClique>> all;

  static NcclCliques& get() {
    static NcclCliques cliques;
    return cliques;
  }
  std::shared_ptr<NcclClique> of(const std::string& id, int ranks) {
    const std::lock_guard lock(mutex);
    auto clique = all[id].lock();
    if (!clique) all[id] = clique = std::make_shared<NcclClique>(ranks);
    return clique;
  }
};
/// As if a process had died: all communicators learn that a peer is gone.
inline void lose_a_peer() {
  const std::lock_guard lock(NcclCliques::get().mutex);
  for (const auto& [id, weak] : NcclCliques::get().all)
    if (const auto clique = weak.lock()) {
      const std::lock_guard inside(clique->mutex);
      clique->break_all(ncclRemoteError, "socket closed by peer");
    }
}

inline std::size_t nccl_bytes(ncclDataType_t t) {
  return t == ncclInt8 || t == ncclUint8                         ? 1
         : t == ncclBfloat16                                     ? 2
         : t == ncclInt32 || t == ncclUint32 || t == ncclFloat32 ? 4
                                                                 : 8;
}
/// Element i of all ranks put together, beginning at the rank after the one to whose chunk it belongs.
template <class T>
void nccl_reduce(const std::vector<const std::byte*>& from, std::byte* to, std::size_t count, ncclRedOp_t op) {
  const std::size_t n = from.size();
  for (std::size_t i = 0; i < count; ++i) {
    const std::size_t first = (i * n / count + 1) % n;
    T sum{};
    for (std::size_t k = 0; k < n; ++k) {
      T v;
      std::memcpy(&v, from[(first + k) % n] + i * sizeof(T), sizeof(T));
      if constexpr (std::is_integral_v<T>) {
        using U = std::make_unsigned_t<T>;
        sum = k == 0          ? v
              : op == ncclSum ? static_cast<T>(static_cast<U>(static_cast<U>(sum) + static_cast<U>(v)))
              : op == ncclMax ? std::max(sum, v)
                              : std::min(sum, v);
      } else {
        sum = k == 0 ? v : op == ncclSum ? sum + v : op == ncclMax ? std::fmax(sum, v) : std::fmin(sum, v);
      }
    }
    std::memcpy(to + i * sizeof(T), &sum, sizeof(T));
  }
}
inline float nccl_widened(std::uint16_t bits) { return __uint_as_float(static_cast<unsigned>(bits) << 16); }
inline std::uint16_t nccl_narrowed(float f) {
  const unsigned u = __float_as_uint(f);
  if (f != f) return static_cast<std::uint16_t>(u >> 16 | 0x40u);
  return static_cast<std::uint16_t>((u + 0x7fffu + (u >> 16 & 1u)) >> 16);
}
inline void nccl_reduce(ncclDataType_t type, const std::vector<const std::byte*>& from, std::byte* to,
                        std::size_t count, ncclRedOp_t op) {
  switch (type) {
    case ncclInt8:
      return nccl_reduce<std::int8_t>(from, to, count, op);
    case ncclUint8:
      return nccl_reduce<std::uint8_t>(from, to, count, op);
    case ncclInt32:
      return nccl_reduce<std::int32_t>(from, to, count, op);
    case ncclUint32:
      return nccl_reduce<std::uint32_t>(from, to, count, op);
    case ncclInt64:
      return nccl_reduce<std::int64_t>(from, to, count, op);
    case ncclUint64:
      return nccl_reduce<std::uint64_t>(from, to, count, op);
    case ncclFloat32:
      return nccl_reduce<float>(from, to, count, op);
    case ncclFloat64:
      return nccl_reduce<double>(from, to, count, op);
    case ncclBfloat16:
      break;
  }
  for (std::size_t i = 0; i < count; ++i) {  // rounded after every step
    const std::size_t n = from.size(), first = (i * n / count + 1) % n;
    std::uint16_t sum = 0;
    for (std::size_t k = 0; k < n; ++k) {
      std::uint16_t v;
      std::memcpy(&v, from[(first + k) % n] + i * 2, 2);
      const float a = nccl_widened(sum), b = nccl_widened(v);
      sum = k == 0 ? v : nccl_narrowed(op == ncclSum ? a + b : op == ncclMax ? std::fmax(a, b) : std::fmin(a, b));
    }
    std::memcpy(to + i * 2, &sum, 2);
  }
}

/// All ranks have called: computes what all get.
inline void nccl_carry_out(NcclClique& clique, NcclClique::Collective& c) {
  const NcclCall first = c.calls.begin()->second;
  std::vector<const std::byte*> from;
  for (const auto& [rank, call] : c.calls) {
    from.push_back(call.source);
    if (call.kind != first.kind || call.count != first.count || call.type != first.type || call.op != first.op)
      return clique.break_all(ncclInvalidUsage, "ranks called different collectives, or with different counts");
  }
  const auto copy = [](void* to, const void* source, std::size_t size) {
    if (size > 0) std::memcpy(to, source, size);  // of nothing, addresses may be null
  };
  const std::size_t n = from.size(), bytes = first.count * nccl_bytes(first.type);
  std::vector<std::byte> all(first.kind == NcclCall::all_reduce ? bytes : n * bytes);
  if (first.kind == NcclCall::all_gather)
    for (std::size_t r = 0; r < n; ++r) copy(all.data() + r * bytes, from[r], bytes);
  else
    nccl_reduce(first.type, from, all.data(), first.kind == NcclCall::all_reduce ? first.count : n * first.count,
                first.op);
  for (const auto& [rank, call] : c.calls) {
    if (first.kind == NcclCall::reduce_scatter) copy(call.target, all.data() + rank * bytes, bytes);
    else copy(call.target, all.data(), all.size());
  }
  c.done = true;
}

/// What a rank asked for between a GroupStart and its GroupEnd, or on its own.
struct NcclAsked {
  ncclComm_t comm = nullptr;
  cudaStream_t stream = nullptr;
  std::vector<NcclCall> calls;  // one, or none where there are messages
  struct Part {
    std::size_t peer, bytes;
    const std::byte* source;  // of a message that is sent
    std::byte* target;        // … received
  };
  std::vector<Part> parts;
};
inline thread_local int nccl_depth = 0;
inline thread_local std::vector<NcclAsked> nccl_group;

/// One turn of a call under way.
class NcclTurn {
 public:
  NcclTurn(const NcclAsked& asked)
      : asked_(asked), clique_(asked.comm->clique), rank_(asked.comm->rank), aborted_(asked.comm->aborted) {}

  bool operator()() {
    if (*aborted_) return true;
    const std::lock_guard lock(clique_->mutex);
    return asked_.calls.empty() ? messages() : collective();
  }

 private:
  NcclAsked asked_;
  std::shared_ptr<NcclClique> clique_;
  std::size_t rank_;
  std::shared_ptr<std::atomic<bool>> aborted_;
  bool begun_ = false;
  std::size_t number_ = 0;
  std::vector<std::shared_ptr<NcclMessage>> sent_;

  bool collective() {
    if (!begun_) {
      begun_ = true, number_ = clique_->called[rank_]++;
      clique_->collectives[number_].calls[rank_] = asked_.calls[0];
    }
    const auto it = clique_->collectives.find(number_);
    NcclClique::Collective& c = it->second;
    if (!c.done && c.calls.size() == clique_->size()) nccl_carry_out(*clique_, c);
    if (!c.done) return false;
    c.calls.erase(rank_);
    if (c.calls.empty()) clique_->collectives.erase(it);
    return true;
  }
  bool messages() {
    if (!begun_) {
      begun_ = true;
      for (const NcclAsked::Part& p : asked_.parts)
        if (p.source) {
          sent_.push_back(std::make_shared<NcclMessage>(NcclMessage{p.source, p.bytes}));
          clique_->messages[{rank_, p.peer}].push_back(sent_.back());
        }
    }
    bool done = true;
    std::set<std::size_t> waits;  // for messages of these, which come in order
    for (NcclAsked::Part& p : asked_.parts) {
      if (!p.target) continue;
      auto& queue = clique_->messages[{p.peer, rank_}];
      if (queue.empty() || waits.count(p.peer)) {
        waits.insert(p.peer), done = false;
        continue;
      }
      if (queue.front()->bytes != p.bytes) {
        clique_->break_all(ncclInvalidUsage, "a message has another size than the one expected");
        return false;
      }
      std::memcpy(p.target, queue.front()->source, p.bytes);
      queue.front()->taken = true;
      queue.pop_front();
      p.target = nullptr;
    }
    for (const auto& m : sent_) done = done && m->taken;
    return done;
  }
};

inline ncclResult_t nccl_queue(const NcclAsked& asked) {
  const cudaError_t status = queue_until(asked.stream, "a collective of NCCL", NcclTurn(asked));
  return status == cudaSuccess ? ncclInProgress : ncclUnhandledCudaError;
}
inline ncclResult_t nccl_ask(ncclComm_t comm, cudaStream_t stream, const NcclCall* call, const NcclAsked::Part* part) {
  if (!comm || (part && part->peer >= comm->clique->size())) return ncclInvalidArgument;
  if (Runtime::get().stream_of(stream).device != comm->device) return ncclInvalidArgument;
  comm->fresh = true;
  NcclAsked* asked = nullptr;
  for (NcclAsked& a : nccl_group)
    if (part && a.comm == comm && a.calls.empty()) asked = &a;
  if (!asked) asked = &nccl_group.emplace_back(NcclAsked{comm, stream, {}, {}});
  if (call) asked->calls.push_back(*call);
  if (part) asked->parts.push_back(*part);
  if (nccl_depth > 0) return ncclSuccess;
  const NcclAsked alone = std::move(*asked);
  nccl_group.clear();
  return nccl_queue(alone);
}

}  // namespace emulation
