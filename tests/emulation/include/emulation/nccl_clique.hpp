// Communicators of the emulated NCCL: its types, and what the ranks of a clique know of each other.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <atomic>
#include <cstring>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include <cuda_runtime.h>

#define NCCL_MAJOR 2
#define NCCL_MINOR 28
#define NCCL_UNIQUE_ID_BYTES 128
#define NCCL_CONFIG_INITIALIZER \
  { 1 }

struct ncclUniqueId {
  char internal[NCCL_UNIQUE_ID_BYTES];
};
enum ncclResult_t {
  ncclSuccess = 0,
  ncclUnhandledCudaError = 1,
  ncclSystemError = 2,
  ncclInternalError = 3,
  ncclInvalidArgument = 4,
  ncclInvalidUsage = 5,
  ncclRemoteError = 6,
  ncclInProgress = 7
};
enum ncclRedOp_t { ncclSum = 0, ncclProd = 1, ncclMax = 2, ncclMin = 3, ncclAvg = 4 };
enum ncclDataType_t {
  ncclInt8 = 0,
  ncclUint8 = 1,
  ncclInt32 = 2,
  ncclUint32 = 3,
  ncclInt64 = 4,
  ncclUint64 = 5,
  ncclFloat32 = 7,
  ncclFloat64 = 8,
  ncclBfloat16 = 9
};
struct ncclConfig_t {
  int blocking;
};
struct ncclComm;

namespace emulation {

/// One call of a collective by one rank.
struct NcclCall {
  enum Kind { all_gather, all_reduce, reduce_scatter } kind;
  const std::byte* source;
  std::byte* target;
  std::size_t count;
  ncclDataType_t type;
  ncclRedOp_t op;
};
struct NcclMessage {
  const std::byte* source;
  std::size_t bytes;
  bool taken = false;
};

/// The ranks of one communicator.
struct NcclClique {
  explicit NcclClique(int ranks)
      : devices(static_cast<std::size_t>(ranks), -1), called(devices.size()), states(devices.size(), ncclInProgress) {}

  std::mutex mutex;
  std::vector<int> devices;  // of each rank; -1: has not come
  std::size_t came = 0;
  std::vector<std::size_t> called;  // collectives begun, by rank
  std::vector<ncclResult_t> states;
  std::string error;

  struct Collective {
    std::map<std::size_t, NcclCall> calls;  // by rank
    bool done = false;
  };
  std::map<std::size_t, Collective> collectives;  // by number
  std::map<std::pair<std::size_t, std::size_t>, std::deque<std::shared_ptr<NcclMessage>>> messages;

  struct Split {
    int color, key;
    ncclComm** made;
  };
  std::map<std::size_t, Split> split;  // under way, by rank

  std::size_t size() const { return devices.size(); }
  void break_all(ncclResult_t state, const std::string& why) {
    error = why;
    for (ncclResult_t& s : states) s = state;
  }
};

}  // namespace emulation

struct ncclComm {
  std::shared_ptr<emulation::NcclClique> clique;
  std::size_t rank = 0;
  int device = 0;
  std::shared_ptr<std::atomic<bool>> aborted = std::make_shared<std::atomic<bool>>(false);
  std::atomic<bool> fresh{false};  // a call was made and not polled yet
};
using ncclComm_t = ncclComm*;
