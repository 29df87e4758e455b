// NCCL, emulated: communicators among GPUs of the emulated machine, driven by one thread or by one for each rank.
// SPDX-License-Identifier: Apache-2.0
//
// The part of NCCL 2.28's interface that the library uses, and its habits: two ranks on one GPU are refused; communicators are
// non-blocking, and a call is under way until it is polled; a new communicator of a split appears late; sums begin at another
// rank in every chunk, as around a ring; a maximum ignores NaN; a call that a rank does not make is waited for, for ever.
// Wrong use that would hang or corrupt memory is an error here: counts or types that differ among the ranks.
#pragma once
#include "emulation/nccl_calls.hpp"

inline ncclResult_t ncclGetUniqueId(ncclUniqueId* id) {
  static std::atomic<unsigned long long> count{0};
  std::memset(id->internal, 0, sizeof(id->internal));
  const unsigned long long n = ++count;
  std::memcpy(id->internal, &n, sizeof(n));
  return ncclSuccess;
}
inline const char* ncclGetErrorString(ncclResult_t r) {
  constexpr const char* names[] = {"no error",
                                   "unhandled cuda error",
                                   "unhandled system error",
                                   "internal error",
                                   "invalid argument",
                                   "invalid usage",
                                   "remote process exited or there was a network error",
                                   "NCCL operation in progress"};
  return names[r];
}
inline const char* ncclGetLastError(ncclComm_t comm) { return comm ? comm->clique->error.c_str() : ""; }

/// Completes when all ranks have come.
inline void emulated_arrival(const std::shared_ptr<emulation::NcclClique>& clique, std::size_t rank, int device) {
  const std::lock_guard lock(clique->mutex);
  clique->devices[rank] = device;
  if (++clique->came < clique->size()) return;
  const std::set<int> distinct(clique->devices.begin(), clique->devices.end());
  if (distinct.size() < clique->size()) clique->break_all(ncclInvalidUsage, "Duplicate GPU detected");
  else clique->break_all(ncclSuccess, "");
}
inline ncclResult_t ncclCommInitRankConfig(ncclComm_t* comm, int ranks, ncclUniqueId id, int rank, ncclConfig_t*) {
  if (ranks < 1 || rank < 0 || rank >= ranks) return ncclInvalidArgument;
  *comm = new ncclComm{emulation::NcclCliques::get().of(std::string(id.internal, sizeof(id.internal)), ranks),
                       static_cast<std::size_t>(rank), emulation::Runtime::device()};
  if ((*comm)->clique->size() != static_cast<std::size_t>(ranks)) return ncclInvalidArgument;
  emulated_arrival((*comm)->clique, (*comm)->rank, (*comm)->device);
  return ncclInProgress;
}
inline ncclResult_t ncclCommSplit(ncclComm_t comm, int color, int key, ncclComm_t* made, ncclConfig_t*) {
  emulation::NcclClique& parent = *comm->clique;
  const std::lock_guard lock(parent.mutex);
  parent.states[comm->rank] = ncclInProgress;
  parent.split[comm->rank] = {color, key, made};
  if (parent.split.size() < parent.size()) return ncclInProgress;
  std::map<int, std::map<std::pair<int, std::size_t>, ncclComm**>> groups;  // by colour: by key and rank
  for (const auto& [rank, s] : parent.split) groups[s.color][{s.key, rank}] = s.made;
  for (const auto& [c, members] : groups) {
    const auto clique = std::make_shared<emulation::NcclClique>(static_cast<int>(members.size()));
    std::size_t r = 0;
    for (const auto& [at, to] : members) {
      const int device = parent.devices[at.second];
      emulated_arrival(clique, r, device);
      __atomic_store_n(to, new ncclComm{clique, r++, device}, __ATOMIC_RELEASE);
    }
  }
  parent.split.clear();
  for (ncclResult_t& s : parent.states) s = ncclSuccess;
  return ncclInProgress;
}
inline ncclResult_t ncclCommGetAsyncError(ncclComm_t comm, ncclResult_t* state) {
  const std::lock_guard lock(comm->clique->mutex);
  *state = comm->clique->states[comm->rank];
  if (*state == ncclSuccess && comm->fresh.exchange(false)) *state = ncclInProgress;
  return ncclSuccess;
}
inline ncclResult_t ncclGroupStart() { return ++emulation::nccl_depth, ncclSuccess; }
inline ncclResult_t ncclGroupEnd() {
  if (emulation::nccl_depth == 0) return ncclInvalidUsage;
  if (--emulation::nccl_depth > 0) return ncclSuccess;
  ncclResult_t status = ncclSuccess;
  for (const emulation::NcclAsked& a : std::exchange(emulation::nccl_group, {}))
    if (status == ncclSuccess || status == ncclInProgress) status = emulation::nccl_queue(a);
  return status;
}

inline ncclResult_t ncclSend(const void* from, std::size_t count, ncclDataType_t type, int peer, ncclComm_t comm,
                             cudaStream_t stream) {
  const emulation::NcclAsked::Part p{static_cast<std::size_t>(peer), count * emulation::nccl_bytes(type),
                                     static_cast<const std::byte*>(from), nullptr};
  return emulation::nccl_ask(comm, stream, nullptr, &p);
}
inline ncclResult_t ncclRecv(void* to, std::size_t count, ncclDataType_t type, int peer, ncclComm_t comm,
                             cudaStream_t stream) {
  const emulation::NcclAsked::Part p{static_cast<std::size_t>(peer), count * emulation::nccl_bytes(type), nullptr,
                                     static_cast<std::byte*>(to)};
  return emulation::nccl_ask(comm, stream, nullptr, &p);
}
inline ncclResult_t emulated_collective(emulation::NcclCall::Kind kind, const void* from, void* to, std::size_t count,
                                        ncclDataType_t type, ncclRedOp_t op, ncclComm_t comm, cudaStream_t stream) {
  const emulation::NcclCall c{kind, static_cast<const std::byte*>(from), static_cast<std::byte*>(to), count, type, op};
  return emulation::nccl_ask(comm, stream, &c, nullptr);
}
inline ncclResult_t ncclAllReduce(const void* from, void* to, std::size_t count, ncclDataType_t type, ncclRedOp_t op,
                                  ncclComm_t comm, cudaStream_t stream) {
  return emulated_collective(emulation::NcclCall::all_reduce, from, to, count, type, op, comm, stream);
}
inline ncclResult_t ncclReduceScatter(const void* from, void* to, std::size_t count, ncclDataType_t type,
                                      ncclRedOp_t op, ncclComm_t comm, cudaStream_t stream) {
  return emulated_collective(emulation::NcclCall::reduce_scatter, from, to, count, type, op, comm, stream);
}
inline ncclResult_t ncclAllGather(const void* from, void* to, std::size_t count, ncclDataType_t type, ncclComm_t comm,
                                  cudaStream_t stream) {
  return emulated_collective(emulation::NcclCall::all_gather, from, to, count, type, ncclSum, comm, stream);
}

inline ncclResult_t ncclCommFinalize(ncclComm_t) { return ncclSuccess; }
inline ncclResult_t ncclCommDestroy(ncclComm_t comm) { return delete comm, ncclSuccess; }
inline ncclResult_t ncclCommAbort(ncclComm_t comm) {
  *comm->aborted = true;
  return ncclCommDestroy(comm);
}
