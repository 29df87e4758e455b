// The functions of the CUDA runtime: errors and GPUs.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "runtime.hpp"

namespace emulation {

inline cudaError_t result(cudaError_t e) {
  if (e != cudaSuccess) Runtime::last_error() = e;
  return e;
}

/// Is a call that could disturb a step under capture forbidden here? It spoils the capture then, as on a GPU.
inline bool disturbs_capture() {
  Runtime& r = Runtime::get();
  const std::lock_guard lock(r.mutex);
  const cudaStreamCaptureMode mine = Runtime::thread_mode();
  if (mine == cudaStreamCaptureModeRelaxed) return false;
  bool disturbs = false;
  for (const auto& weak : r.captures)
    if (const auto c = weak.lock(); c && c->origin && c->mode != cudaStreamCaptureModeRelaxed) {
      const bool local = c->thread == std::this_thread::get_id();
      if (local || (mine == cudaStreamCaptureModeGlobal && c->mode == cudaStreamCaptureModeGlobal))
        c->invalid = disturbs = true;
    }
  return disturbs;
}

}  // namespace emulation

inline const char* cudaGetErrorName(cudaError_t e) {
  switch (e) {
#define TESS_CASE(name, number, text) \
  case name:                          \
    return #name;
    TESS_EMULATED_ERRORS(TESS_CASE)
#undef TESS_CASE
  }
  return "unrecognized error code";
}
inline const char* cudaGetErrorString(cudaError_t e) {
  switch (e) {
#define TESS_CASE(name, number, text) \
  case name:                          \
    return text;
    TESS_EMULATED_ERRORS(TESS_CASE)
#undef TESS_CASE
  }
  return "unrecognized error code";
}
inline cudaError_t cudaGetLastError() { return std::exchange(emulation::Runtime::last_error(), cudaSuccess); }
inline cudaError_t cudaPeekAtLastError() { return emulation::Runtime::last_error(); }

inline cudaError_t cudaGetDeviceCount(int* count) {
  *count = emulation::Runtime::get().devices;
  return emulation::result(*count > 0 ? cudaSuccess : cudaErrorNoDevice);
}
inline cudaError_t cudaSetDevice(int device) {
  if (device < 0 || device >= emulation::Runtime::get().devices) return emulation::result(cudaErrorInvalidDevice);
  emulation::Runtime::device() = device;
  return cudaSuccess;
}
inline cudaError_t cudaGetDevice(int* device) {
  *device = emulation::Runtime::device();
  return cudaSuccess;
}
inline cudaError_t cudaDeviceGetAttribute(int* value, cudaDeviceAttr attribute, int device) {
  const emulation::Runtime& r = emulation::Runtime::get();
  if (device < 0 || device >= r.devices) return emulation::result(cudaErrorInvalidDevice);
  switch (attribute) {
    case cudaDevAttrMaxThreadsPerBlock:
      *value = emulation::max_threads;
      break;
    case cudaDevAttrMaxSharedMemoryPerBlock:
      *value = 48 << 10;
      break;
    case cudaDevAttrWarpSize:
      *value = 32;
      break;
    case cudaDevAttrMaxRegistersPerBlock:
      *value = 65536;
      break;
    case cudaDevAttrClockRate:
      *value = 1'000'000;
      break;
    case cudaDevAttrMultiProcessorCount:
      *value = r.multiprocessors;
      break;
    case cudaDevAttrIntegrated:
      *value = 0;
      break;
    case cudaDevAttrConcurrentKernels:
      *value = 1;
      break;
    case cudaDevAttrMemoryClockRate:
      *value = 1'000'000;
      break;
    case cudaDevAttrGlobalMemoryBusWidth:
      *value = 1024;
      break;
    case cudaDevAttrL2CacheSize:
      *value = 1 << 20;
      break;
    case cudaDevAttrMaxThreadsPerMultiProcessor:
      *value = static_cast<int>(r.threads_of_multiprocessor());
      break;
    case cudaDevAttrUnifiedAddressing:
      *value = 1;
      break;
    case cudaDevAttrComputeCapabilityMajor:
      *value = r.capability / 10;
      break;
    case cudaDevAttrComputeCapabilityMinor:
      *value = r.capability % 10;
      break;
    case cudaDevAttrMaxSharedMemoryPerMultiprocessor:
      *value = static_cast<int>(r.shared_limit_of_block()) + (1 << 10);
      break;
    case cudaDevAttrCooperativeLaunch:
      *value = 1;
      break;
    case cudaDevAttrMaxSharedMemoryPerBlockOptin:
      *value = static_cast<int>(r.shared_limit_of_block());
      break;
    case cudaDevAttrMaxBlocksPerMultiprocessor:
      *value = 32;
      break;
    case cudaDevAttrReservedSharedMemoryPerBlock:
      *value = 1 << 10;
      break;
    case cudaDevAttrMemoryPoolsSupported:
      *value = 1;
      break;
  }
  return cudaSuccess;
}
inline cudaError_t cudaDeviceCanAccessPeer(int* can, int device, int peer) {
  const emulation::Runtime& r = emulation::Runtime::get();
  if (device < 0 || device >= r.devices || peer < 0 || peer >= r.devices)
    return emulation::result(cudaErrorInvalidDevice);
  *can = device != peer;
  return cudaSuccess;
}
inline cudaError_t cudaDeviceEnablePeerAccess(int peer, unsigned flags) {
  emulation::Runtime& r = emulation::Runtime::get();
  const std::lock_guard lock(r.mutex);
  if (flags != 0) return emulation::result(cudaErrorInvalidValue);
  const int device = emulation::Runtime::device();
  if (peer < 0 || peer >= r.devices || peer == device) return emulation::result(cudaErrorInvalidDevice);
  return emulation::result(r.peers.insert({device, peer}).second ? cudaSuccess : cudaErrorPeerAccessAlreadyEnabled);
}
inline cudaError_t cudaDeviceDisablePeerAccess(int peer) {
  emulation::Runtime& r = emulation::Runtime::get();
  const std::lock_guard lock(r.mutex);
  return emulation::result(r.peers.erase({emulation::Runtime::device(), peer}) ? cudaSuccess
                                                                               : cudaErrorPeerAccessNotEnabled);
}
inline cudaError_t cudaDeviceSynchronize() {
  if (emulation::disturbs_capture()) return emulation::result(cudaErrorStreamCaptureUnsupported);
  emulation::Runtime& r = emulation::Runtime::get();
  const std::lock_guard lock(r.mutex);
  for (emulation::Stream* s : r.all_streams())
    if (s->device == emulation::Runtime::device()) r.wait_for(*s);
  return cudaSuccess;
}
inline cudaError_t cudaMemGetInfo(std::size_t* free, std::size_t* total) {
  emulation::Runtime& r = emulation::Runtime::get();
  const std::lock_guard lock(r.mutex);
  *total = r.memory_bytes, *free = r.memory_bytes - r.used[emulation::Runtime::device()];
  return cudaSuccess;
}
inline cudaError_t cudaDriverGetVersion(int* version) { return *version = 13000, cudaSuccess; }
inline cudaError_t cudaRuntimeGetVersion(int* version) { return *version = 13000, cudaSuccess; }
