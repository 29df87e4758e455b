// NCCL as a communicator: non-blocking, watched, and aborted with one clear error when a peer is gone.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#if !defined(TESS_WITHOUT_NCCL) && __has_include(<nccl.h>)
#define TESS_HAS_NCCL 1
#include <nccl.h>

#include <chrono>
#include <cstring>
#include <future>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <utility>

#include "communicator.hpp"
#include "gpu.hpp"

namespace tess::cuda {

/// What all ranks of a job know it by, as bytes; made by one process and brought to the others (bootstrap.hpp). Needs
/// no GPU.
inline std::string make_nccl_id() {
  ncclUniqueId id;
  if (const ncclResult_t status = ncclGetUniqueId(&id); status != ncclSuccess)
    fail("[nccl] ncclGetUniqueId failed: ", ncclGetErrorString(status),
         ". In a container without a network set NCCL_SOCKET_IFNAME=lo.");
  return {id.internal, sizeof(id.internal)};
}

class Nccl : public Communicator {
 public:
  /// `gpus`: of each rank, nullptr where it lives in another process. Returns when all ranks are there; throws Error
  /// after `patience` seconds.
  Nccl(std::vector<Gpu*> gpus, const std::string& id, double patience) : gpus_(std::move(gpus)), patience_(patience) {
    ncclUniqueId name;
    if (id.size() != sizeof(name.internal))
      fail("[nccl] an id has ", sizeof(name.internal), " bytes, this one ", id.size());
    std::memcpy(name.internal, id.data(), sizeof(name.internal));
    world_.resize(gpus_.size());
    const Groups all(gpus_.size(), 0);
    together("connecting", all, world_, [&](index_t r, ncclComm_t&, cudaStream_t) {
      ncclConfig_t config = NCCL_CONFIG_INITIALIZER;
      config.blocking = 0;
      return ncclCommInitRankConfig(&world_[static_cast<std::size_t>(r)], size(), name, static_cast<int>(r), &config);
    });
  }
  ~Nccl() override {
    if (aborting_.valid()) (void)aborting_.wait_for(std::chrono::seconds(10));
    if (aborted_) return;
    for (auto& [groups, handles] : parts_) destroy(handles);
    destroy(world_);
  }

  void send(std::span<const Message> messages) override {
    const Groups all(gpus_.size(), 0);
    together("send", all, world_, [&](index_t r, ncclComm_t comm, cudaStream_t stream) {
      ncclResult_t status = ncclSuccess;
      for (const Message& m : messages) {
        if (m.from == r)
          status = worse(status, ncclSend(m.source, bytes(m), ncclUint8, static_cast<int>(m.to), comm, stream));
        if (m.to == r)
          status = worse(status, ncclRecv(m.target, bytes(m), ncclUint8, static_cast<int>(m.from), comm, stream));
      }
      return status;
    });
  }
  void all_gather(const Groups& groups, const Ends& ends, index_t bytes) override {
    together("all_gather", groups, of(groups), [&](index_t r, ncclComm_t comm, cudaStream_t stream) {
      return ncclAllGather(ends.source(r), ends.target(r), static_cast<std::size_t>(bytes), ncclUint8, comm, stream);
    });
  }
  void all_reduce(const Groups& groups, const Ends& ends, index_t elements, ElementType type, Reduction kind) override {
    together("all_reduce", groups, of(groups), [&](index_t r, ncclComm_t comm, cudaStream_t stream) {
      return ncclAllReduce(ends.source(r), ends.target(r), static_cast<std::size_t>(elements), name_of(type),
                           name_of(kind), comm, stream);
    });
  }
  void reduce_scatter(const Groups& groups, const Ends& ends, index_t elements, ElementType type,
                      Reduction kind) override {
    together("reduce_scatter", groups, of(groups), [&](index_t r, ncclComm_t comm, cudaStream_t stream) {
      return ncclReduceScatter(ends.source(r), ends.target(r), static_cast<std::size_t>(elements), name_of(type),
                               name_of(kind), comm, stream);
    });
  }

  void check(double seconds_waited) override {
    if (aborted_) return;
    const auto now = std::chrono::steady_clock::now();
    if (now < next_check_) return;
    next_check_ = now + std::chrono::milliseconds(1);
    const auto ask = [&](Handles& handles) {
      for (std::size_t r = 0; r < handles.size(); ++r)
        if (handles[r])
          if (const ncclResult_t state = state_of(handles[r]); state != ncclSuccess && state != ncclInProgress)
            give_up(static_cast<index_t>(r), handles[r], state);
    };
    ask(world_);
    for (auto& [groups, handles] : parts_) ask(handles);
    if (seconds_waited > patience_) give_up(first_here(), nullptr, ncclInProgress);
  }

 private:
  using Handles = std::vector<ncclComm_t>;  // by rank; null for ranks that live elsewhere

  std::vector<Gpu*> gpus_;
  double patience_;
  Handles world_;
  std::map<Groups, Handles> parts_;
  bool aborted_ = false;
  std::future<void> aborting_;
  std::string doing_;  // the last collective, for errors
  Groups among_;
  std::chrono::steady_clock::time_point next_check_{};

  int size() const { return static_cast<int>(gpus_.size()); }
  index_t first_here() const {
    index_t r = 0;
    while (!gpus_[static_cast<std::size_t>(r)]) ++r;
    return r;
  }
  static std::size_t bytes(const Message& m) { return static_cast<std::size_t>(m.bytes); }
  static bool is_bad(ncclResult_t status) { return status != ncclSuccess && status != ncclInProgress; }
  static ncclResult_t worse(ncclResult_t a, ncclResult_t b) { return is_bad(a) || b == ncclSuccess ? a : b; }
  static ncclResult_t state_of(ncclComm_t comm) {
    ncclResult_t state = ncclSuccess;
    const ncclResult_t status = ncclCommGetAsyncError(comm, &state);
    return is_bad(status) ? status : state;
  }
  static ncclDataType_t name_of(ElementType type) {
    switch (type) {
      case ElementType::i8:
        return ncclInt8;
      case ElementType::u8:
        return ncclUint8;
      case ElementType::i32:
        return ncclInt32;
      case ElementType::u32:
        return ncclUint32;
      case ElementType::i64:
        return ncclInt64;
      case ElementType::u64:
        return ncclUint64;
      case ElementType::bf16:
        return ncclBfloat16;
      case ElementType::f64:
        return ncclFloat64;
      case ElementType::f32:
      case ElementType::other:
        break;
    }
    return ncclFloat32;
  }
  static ncclRedOp_t name_of(Reduction kind) {
    return kind == Reduction::sum ? ncclSum : kind == Reduction::max ? ncclMax : ncclMin;
  }

  /// One call of NCCL for every rank that is here, as one group.
  template <class F>
  void together(const char* what, const Groups& groups, Handles& handles, F call) {
    if (aborted_) fail("[nccl] ", what, ": the connection was given up before, after an error");
    doing_ = what, among_ = groups;
    ncclResult_t status = ncclGroupStart();
    index_t at = first_here();
    for (index_t r = 0; r < size() && !is_bad(status); ++r)
      if (Gpu* const gpu = gpus_[static_cast<std::size_t>(r)]) {
        gpu->use();
        at = r, status = call(r, handles[static_cast<std::size_t>(r)], gpu->stream());
      }
    const ncclResult_t end = ncclGroupEnd();
    status = worse(status, end);
    if (is_bad(status)) give_up(at, nullptr, status);
    settle(handles);
  }

  /// Waits until what was asked of them is under way.
  void settle(Handles& handles) {
    const auto start = std::chrono::steady_clock::now();
    for (std::size_t r = 0; r < handles.size(); ++r) {
      if (!gpus_[r]) continue;
      for (int turn = 0;; ++turn) {
        const ncclComm_t comm =
            __atomic_load_n(&handles[r], __ATOMIC_ACQUIRE);  // NCCL's own threads write it in a split
        const ncclResult_t state = comm ? state_of(comm) : ncclInProgress;
        if (state == ncclSuccess) break;
        if (state != ncclInProgress) give_up(static_cast<index_t>(r), comm, state);
        if (std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count() > patience_)
          give_up(static_cast<index_t>(r), comm, ncclInProgress);
        if (turn > 1000) std::this_thread::sleep_for(std::chrono::microseconds(100));
      }
    }
  }

  /// The communicators of these groups; made at the first call.
  Handles& of(const Groups& groups) {
    if (std::all_of(groups.begin(), groups.end(), [](index_t g) { return g == 0; })) return world_;
    const auto [it, is_new] = parts_.try_emplace(groups, gpus_.size());
    if (!is_new) return it->second;
    together("dividing into groups", groups, world_, [&](index_t r, ncclComm_t comm, cudaStream_t) {
      ncclConfig_t config = NCCL_CONFIG_INITIALIZER;
      config.blocking = 0;
      const auto i = static_cast<std::size_t>(r);
      return ncclCommSplit(comm, static_cast<int>(groups[i]), static_cast<int>(r), &it->second[i], &config);
    });
    settle(it->second);
    return it->second;
  }

  /// Ends everything that NCCL does here, so that no kernel of it waits for ever, and throws.
  [[noreturn]] void give_up(index_t rank, ncclComm_t comm, ncclResult_t state) {
    std::string why;
    if (state == ncclInProgress) {
      why = "no answer from the others for " + std::to_string(static_cast<long long>(patience_)) +
            " s. Is every process running, and does each of them call the same operations?";
    } else {
      why = std::string(ncclGetErrorString(state)) + " (" + ncclGetLastError(comm) + ")";
    }
    std::string with;
    for (std::size_t r = 0; r < among_.size(); ++r)
      if (among_[r] == among_[static_cast<std::size_t>(rank)]) with += " " + std::to_string(r);
    aborted_ = true;
    abort_all();
    fail("[nccl] rank ", rank, " of ", size(), ", ", doing_, " among ranks", with, ": ", why,
         "\nThe connection was given up: start all processes again.");
  }
  /// By a thread of its own: an abort ends kernels at once, but returns only when no graph is left that recorded a
  /// collective, and those live as long as the device.
  void abort_all() {
    Handles all;
    for (auto& [groups, handles] : parts_) all.insert(all.end(), handles.begin(), handles.end());
    all.insert(all.end(), world_.begin(), world_.end());
    std::packaged_task<void()> abort([all] {
      (void)ncclGroupStart();
      for (const ncclComm_t comm : all)
        if (comm) (void)ncclCommAbort(comm);
      (void)ncclGroupEnd();
    });
    aborting_ = abort.get_future();
    std::thread(std::move(abort)).detach();
    (void)aborting_.wait_for(std::chrono::seconds(2));  // long enough where nothing is recorded
  }
  static void destroy(Handles& handles) {
    (void)ncclGroupStart();
    for (const ncclComm_t comm : handles)
      if (comm) (void)ncclCommFinalize(comm);
    (void)ncclGroupEnd();
    constexpr int most = 20000;  // times 100 µs: a peer that is gone must not keep this process
    int turn = 0;
    for (const ncclComm_t comm : handles)
      while (comm && state_of(comm) == ncclInProgress && turn++ < most)
        std::this_thread::sleep_for(std::chrono::microseconds(100));
    for (const ncclComm_t comm : handles)
      if (comm) (void)(turn < most ? ncclCommDestroy(comm) : ncclCommAbort(comm));
  }
};

}  // namespace tess::cuda
#endif
