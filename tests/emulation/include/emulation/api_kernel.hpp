// The functions of the CUDA runtime: launches of kernels, and what limits them.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <tuple>

#include "api_device.hpp"

namespace emulation {

inline Operation kernel_operation(std::shared_ptr<const KernelLaunch> launch) {
  return {launch->name, [launch](const Context& c) -> Step {
            c.engine->acquire(c.before);
            if (!launch->overlaps) c.engine->release(c.early);
            const Order order{launch->overlaps ? c.early : c.before, c.before, &launch->token, launch->overlaps,
                              Runtime::get().reversed};
            auto run = std::make_shared<KernelRun>(launch, c.stream, order);
            *c.describe = [weak = std::weak_ptr<KernelRun>(run)] {
              const auto under_way = weak.lock();
              return under_way ? under_way->describe() : std::string("a kernel of a graph");
            };
            return [run, launch, c] {
              if (!run->progress()) return false;
              c.engine->acquire(&launch->token);
              c.engine->release(c.after);
              return true;
            };
          }};
}

/// An argument of a kernel that is a pointer has to be one to memory that the GPU can use.
template <class T>
void check_argument(const T& argument, std::size_t number, const std::string& kernel) {
  if constexpr (std::is_pointer_v<T>) {
    Runtime& r = Runtime::get();
    const auto* p = reinterpret_cast<const void*>(argument);
    if (!p) return;
    const Allocation* a = r.find(p);
    const std::string what = "kernel " + kernel + ": argument " + std::to_string(number) + " points to memory ";
    if (!a) throw Error(what + "that is neither of a GPU nor pinned");
    if (!r.can_reach(Runtime::device(), *a))
      throw Error(what + "of GPU " + std::to_string(a->device) + ", to which GPU " + std::to_string(Runtime::device()) +
                  " has no access");
  }
}

}  // namespace emulation

inline cudaError_t cudaFuncSetAttribute(const void* kernel, cudaFuncAttribute attribute, int value) {
  emulation::Runtime& r = emulation::Runtime::get();
  const std::lock_guard lock(r.mutex);
  if (attribute == cudaFuncAttributeMaxDynamicSharedMemorySize) {
    if (value < 0 || static_cast<std::size_t>(value) > r.shared_limit_of_block())
      return emulation::result(cudaErrorInvalidValue);
    r.shared_limit[kernel] = value;
  }
  return cudaSuccess;
}
inline cudaError_t cudaFuncGetAttributes(cudaFuncAttributes* attributes, const void* kernel) {
  emulation::Runtime& r = emulation::Runtime::get();
  const std::lock_guard lock(r.mutex);
  *attributes = {};
  attributes->maxThreadsPerBlock = emulation::max_threads;
  attributes->binaryVersion = attributes->ptxVersion = r.capability;
  const auto it = r.shared_limit.find(kernel);
  attributes->maxDynamicSharedSizeBytes = it == r.shared_limit.end() ? 48 << 10 : it->second;
  return cudaSuccess;
}
template <class K>
cudaError_t cudaOccupancyMaxActiveBlocksPerMultiprocessor(int* blocks, K, int threads, std::size_t shared) {
  if (threads <= 0 || threads > static_cast<int>(emulation::max_threads))
    return emulation::result(cudaErrorInvalidValue);
  *blocks = emulation::Runtime::get().blocks_per_multiprocessor(static_cast<unsigned>(threads), shared);
  return cudaSuccess;
}
template <class... P, class... A>
cudaError_t cudaLaunchKernelEx(const cudaLaunchConfig_t* config, void (*kernel)(P...), A&&... args) {
  static_assert(sizeof...(P) == sizeof...(A), "a kernel is given as many arguments as it has parameters");
  emulation::Runtime& r = emulation::Runtime::get();
  const std::lock_guard lock(r.mutex);
  const dim3 &g = config->gridDim, &b = config->blockDim;
  if (g.x == 0 || g.y == 0 || g.z == 0 || g.x > 0x7fffffffu || g.y > 65535 || g.z > 65535 || b.x == 0 || b.y == 0 ||
      b.z == 0 || b.x > 1024 || b.y > 1024 || b.z > 64 || std::uint64_t{b.x} * b.y * b.z > emulation::max_threads)
    return emulation::result(cudaErrorInvalidConfiguration);
  const void* address = reinterpret_cast<const void*>(kernel);
  const auto limit = r.shared_limit.find(address);
  if (config->dynamicSmemBytes > static_cast<std::size_t>(limit == r.shared_limit.end() ? 48 << 10 : limit->second))
    return emulation::result(cudaErrorInvalidValue);
  emulation::Stream& s = r.stream_of(config->stream);
  if (s.device != emulation::Runtime::device()) return emulation::result(cudaErrorInvalidResourceHandle);
  const std::shared_ptr<emulation::KernelLaunch> launch(new emulation::KernelLaunch, [](emulation::KernelLaunch* l) {
    emulation::tsan::reaper().destroy_after(&l->token, l);
  });
  launch->name = emulation::name_of_kernel(address);
  launch->grid = g, launch->block = b, launch->shared = config->dynamicSmemBytes;
  launch->resident =
      static_cast<unsigned>(r.multiprocessors * r.blocks_per_multiprocessor(b.x * b.y * b.z, launch->shared));
  for (unsigned i = 0; i < config->numAttrs; ++i) {
    const cudaLaunchAttribute& a = config->attrs[i];
    if (a.id == cudaLaunchAttributeCooperative && a.val.cooperative &&
        std::uint64_t{g.x} * g.y * g.z > launch->resident)
      return emulation::result(cudaErrorCooperativeLaunchTooLarge);
    if (a.id == cudaLaunchAttributeProgrammaticStreamSerialization && a.val.programmaticStreamSerializationAllowed &&
        r.capability >= 90)
      launch->overlaps = true;
  }
  std::tuple<std::decay_t<P>...> arguments(std::forward<A>(args)...);
  std::apply(
      [&](const auto&... argument) {
        [[maybe_unused]] std::size_t n = 0;
        (emulation::check_argument(argument, ++n, launch->name), ...);
      },
      arguments);
  launch->body = [kernel, arguments = std::move(arguments)] { std::apply(kernel, arguments); };
  ++r.launches;
  return emulation::result(r.queue(s, emulation::kernel_operation(launch)));
}
