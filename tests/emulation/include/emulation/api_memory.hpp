// The functions of the CUDA runtime: memory and copies.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "api_device.hpp"

namespace emulation {

constexpr unsigned char fresh_byte = 0xff;  // NaN in every floating-point type
constexpr unsigned char margin_byte = 0xa5;
#ifdef __SANITIZE_ADDRESS__
constexpr std::size_t margin = 0;  // the sanitizer has its own
#else
constexpr std::size_t margin = 64;
#endif

/// Exactly `bytes` of the heap, full of NaN, so that AddressSanitizer finds what reaches beyond them.
inline cudaError_t allocate(void** to, std::size_t bytes, Kind kind) {
  Runtime& r = Runtime::get();
  if (!to) return cudaErrorInvalidValue;
  if (bytes == 0) return *to = nullptr, cudaSuccess;
  const std::lock_guard lock(r.mutex);
  const int device = Runtime::device();
  if (kind == Kind::device && r.used[device] + bytes > r.memory_bytes) return cudaErrorMemoryAllocation;
  auto* p = static_cast<std::byte*>(::operator new(bytes + margin, std::align_val_t(256), std::nothrow));
  if (!p) return cudaErrorMemoryAllocation;
  std::memset(p, fresh_byte, bytes);
  if (margin) std::memset(p + bytes, margin_byte, margin);
  r.memory[p] = {bytes, kind, device};
  if (kind == Kind::device) r.used[device] += bytes;
  ++r.allocations;
  *to = p;
  return cudaSuccess;
}
inline cudaError_t release(void* at, Kind kind) {
  Runtime& r = Runtime::get();
  const std::lock_guard lock(r.mutex);
  auto* p = static_cast<std::byte*>(at);
  const auto it = r.memory.find(p);
  if (it == r.memory.end() || it->second.kind != kind) return cudaErrorInvalidValue;
  bool whole = true;
  for (std::size_t i = 0; i < margin; ++i) whole = whole && p[it->second.bytes + i] == std::byte{margin_byte};
  if (!whole && !r.late)
    r.late =
        std::make_exception_ptr(Error("something was written beyond the end of " + std::to_string(it->second.bytes) +
                                      " bytes of GPU memory (found when they were freed)"));
  if (kind == Kind::device) r.used[it->second.device] -= it->second.bytes;
  r.memory.erase(it);
  ::operator delete(p, std::align_val_t(256));
  return cudaSuccess;
}
/// Waits for all work that this thread queued on a GPU; what fails is told by the next call that can. Another thread may
/// stand for another process, whose GPUs this one does not wait for.
inline void settle(int device) noexcept {
  Runtime& r = Runtime::get();
  const std::lock_guard lock(r.mutex);
  try {
    for (Stream* s : r.all_streams())
      if (s->device == device && s->home == std::this_thread::get_id() && !s->capture) r.wait_for(*s);
  } catch (...) {
    if (!r.late) r.late = std::current_exception();
  }
}

/// May this GPU use [at, at + bytes)? Pageable memory of the host is unknown here.
inline cudaError_t check_range(const void* at, std::size_t bytes) {
  Runtime& r = Runtime::get();
  const std::byte* begin = nullptr;
  const Allocation* a = r.find(at, &begin);
  if (!a) return cudaSuccess;
  return static_cast<const std::byte*>(at) + bytes <= begin + a->bytes ? cudaSuccess : cudaErrorInvalidValue;
}
inline bool is_on_gpu(const void* at) {
  const Allocation* a = Runtime::get().find(at);
  return a && a->kind == Kind::device;
}

/// What pageable memory of the host had when its copy was queued.
struct Staged {
  std::vector<std::byte> bytes;
};
inline cudaError_t copy(void* to, std::size_t to_pitch, const void* from, std::size_t from_pitch, std::size_t width,
                        std::size_t height, cudaMemcpyKind kind, cudaStream_t stream) {
  Runtime& r = Runtime::get();
  const std::lock_guard lock(r.mutex);
  if (width == 0 || height == 0) return cudaSuccess;
  if (!to || !from) return cudaErrorInvalidValue;
  if (height > 1 && (to_pitch < width || from_pitch < width)) return cudaErrorInvalidPitchValue;
  if (check_range(to, (height - 1) * to_pitch + width) != cudaSuccess ||
      check_range(from, (height - 1) * from_pitch + width) != cudaSuccess)
    return cudaErrorInvalidValue;
  const bool to_gpu = is_on_gpu(to), from_gpu = is_on_gpu(from);
  if ((kind == cudaMemcpyHostToDevice && (!to_gpu || from_gpu)) ||
      (kind == cudaMemcpyDeviceToHost && (to_gpu || !from_gpu)) ||
      (kind == cudaMemcpyDeviceToDevice && (!to_gpu || !from_gpu)) ||
      (kind == cudaMemcpyHostToHost && (to_gpu || from_gpu)))
    return cudaErrorInvalidValue;
  Stream& s = r.stream_of(stream);
  const bool pageable_from = !r.find(from), pageable_to = !r.find(to);
  if (s.capture && (pageable_from || pageable_to)) {
    s.capture->invalid = true;
    return cudaErrorStreamCaptureUnsupported;
  }
  if (pageable_from) {  // copied before the call returns: it may change afterwards
    const std::shared_ptr<Staged> staged(new Staged{std::vector<std::byte>(width * height)},
                                         [](Staged* old) { tsan::reaper().destroy_after(old, old); });
    for (std::size_t i = 0; i < height; ++i)
      std::memcpy(staged->bytes.data() + i * width, static_cast<const std::byte*>(from) + i * from_pitch, width);
    return queue_step(stream, "a copy to the GPU", [=](const Context& c) {
      c.engine->copy_rows(to, to_pitch, staged->bytes.data(), width, width, height);
      c.engine->release(staged.get());
    });
  }
  const cudaError_t e = queue_step(
      stream, "a copy", [=](const Context& c) { c.engine->copy_rows(to, to_pitch, from, from_pitch, width, height); });
  if (e == cudaSuccess && pageable_to) r.wait_for(s);
  return e;
}

}  // namespace emulation

template <class T>
cudaError_t cudaMalloc(T** to, std::size_t bytes) {
  if (emulation::disturbs_capture()) return emulation::result(cudaErrorStreamCaptureUnsupported);
  void* p = nullptr;
  const cudaError_t e = emulation::allocate(&p, bytes, emulation::Kind::device);
  if (e == cudaSuccess) *to = static_cast<T*>(p);
  return emulation::result(e);
}
/// Waits for the GPU, as the real one does.
inline cudaError_t cudaFree(void* at) {
  if (!at) return cudaSuccess;
  const emulation::Allocation* a = nullptr;
  emulation::Runtime& r = emulation::Runtime::get();
  const std::lock_guard lock(r.mutex);
  a = r.find(at);
  if (a) emulation::settle(a->device);
  return emulation::result(emulation::release(at, emulation::Kind::device));
}
inline cudaError_t cudaMallocAsync(void** to, std::size_t bytes, cudaStream_t stream) {
  if (emulation::Runtime::get().stream_of(stream).capture) return emulation::result(cudaErrorNotSupported);
  return emulation::result(emulation::allocate(to, bytes, emulation::Kind::device));
}
inline cudaError_t cudaFreeAsync(void* at, cudaStream_t stream) {
  if (!at) return cudaSuccess;
  return emulation::result(
      emulation::queue(stream, "cudaFreeAsync", [at] { (void)emulation::release(at, emulation::Kind::device); }));
}
inline cudaError_t cudaHostAlloc(void** to, std::size_t bytes, unsigned) {
  if (emulation::disturbs_capture()) return emulation::result(cudaErrorStreamCaptureUnsupported);
  return emulation::result(emulation::allocate(to, bytes, emulation::Kind::pinned));
}
inline cudaError_t cudaMallocHost(void** to, std::size_t bytes) { return cudaHostAlloc(to, bytes, 0); }
inline cudaError_t cudaFreeHost(void* at) {
  if (!at) return cudaSuccess;
  for (int d = 0; d < emulation::Runtime::get().devices; ++d) emulation::settle(d);
  return emulation::result(emulation::release(at, emulation::Kind::pinned));
}
inline cudaError_t cudaHostRegister(void* at, std::size_t bytes, unsigned) {
  emulation::Runtime& r = emulation::Runtime::get();
  const std::lock_guard lock(r.mutex);
  if (!at || bytes == 0) return emulation::result(cudaErrorInvalidValue);
  r.memory[static_cast<std::byte*>(at)] = {bytes, emulation::Kind::registered, emulation::Runtime::device()};
  return cudaSuccess;
}
inline cudaError_t cudaHostUnregister(void* at) {
  emulation::Runtime& r = emulation::Runtime::get();
  const std::lock_guard lock(r.mutex);
  const auto it = r.memory.find(static_cast<std::byte*>(at));
  if (it == r.memory.end() || it->second.kind != emulation::Kind::registered)
    return emulation::result(cudaErrorInvalidValue);
  for (int d = 0; d < r.devices; ++d) emulation::settle(d);
  r.memory.erase(it);
  return cudaSuccess;
}
inline cudaError_t cudaHostGetDevicePointer(void** device, void* host, unsigned) {
  *device = host;
  return cudaSuccess;
}
inline cudaError_t cudaPointerGetAttributes(cudaPointerAttributes* attributes, const void* at) {
  emulation::Runtime& r = emulation::Runtime::get();
  const std::lock_guard lock(r.mutex);
  const emulation::Allocation* a = r.find(at);
  void* p = const_cast<void*>(at);
  if (!a) *attributes = {cudaMemoryTypeUnregistered, -1, nullptr, p};
  else if (a->kind == emulation::Kind::device) *attributes = {cudaMemoryTypeDevice, a->device, p, nullptr};
  else *attributes = {cudaMemoryTypeHost, a->device, p, p};
  return cudaSuccess;
}
inline cudaError_t cudaMemcpyAsync(void* to, const void* from, std::size_t bytes, cudaMemcpyKind kind,
                                   cudaStream_t stream = nullptr) {
  return emulation::result(emulation::copy(to, bytes, from, bytes, bytes, 1, kind, stream));
}
inline cudaError_t cudaMemcpy2DAsync(void* to, std::size_t to_pitch, const void* from, std::size_t from_pitch,
                                     std::size_t width, std::size_t height, cudaMemcpyKind kind,
                                     cudaStream_t stream = nullptr) {
  return emulation::result(emulation::copy(to, to_pitch, from, from_pitch, width, height, kind, stream));
}
inline cudaError_t cudaMemcpyPeerAsync(void* to, int, const void* from, int, std::size_t bytes,
                                       cudaStream_t stream = nullptr) {
  return emulation::result(emulation::copy(to, bytes, from, bytes, bytes, 1, cudaMemcpyDeviceToDevice, stream));
}
inline cudaError_t cudaStreamSynchronize(cudaStream_t stream);
inline cudaError_t cudaMemcpy(void* to, const void* from, std::size_t bytes, cudaMemcpyKind kind) {
  if (emulation::disturbs_capture()) return emulation::result(cudaErrorStreamCaptureImplicit);
  const cudaError_t e = cudaMemcpyAsync(to, from, bytes, kind, nullptr);
  return e == cudaSuccess ? cudaStreamSynchronize(nullptr) : e;
}
inline cudaError_t cudaMemcpy2D(void* to, std::size_t to_pitch, const void* from, std::size_t from_pitch,
                                std::size_t width, std::size_t height, cudaMemcpyKind kind) {
  if (emulation::disturbs_capture()) return emulation::result(cudaErrorStreamCaptureImplicit);
  const cudaError_t e = cudaMemcpy2DAsync(to, to_pitch, from, from_pitch, width, height, kind, nullptr);
  return e == cudaSuccess ? cudaStreamSynchronize(nullptr) : e;
}
inline cudaError_t cudaMemsetAsync(void* at, int value, std::size_t bytes, cudaStream_t stream = nullptr) {
  if (bytes == 0) return cudaSuccess;
  emulation::Runtime& r = emulation::Runtime::get();
  const std::lock_guard lock(r.mutex);
  if (!r.find(at) || emulation::check_range(at, bytes) != cudaSuccess) return emulation::result(cudaErrorInvalidValue);
  return emulation::result(emulation::queue_step(
      stream, "cudaMemsetAsync", [=](const emulation::Context& c) { c.engine->fill(at, value, bytes); }));
}
inline cudaError_t cudaMemset(void* at, int value, std::size_t bytes) {
  return cudaMemsetAsync(at, value, bytes, nullptr);
}
