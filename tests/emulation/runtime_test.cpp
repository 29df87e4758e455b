// The emulated runtime: memory, streams, events, limits of launches, and graphs, with CUDA's errors.
// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <string>
#include <tess/device/cuda/gpu.hpp>
#include <tess/device/cuda/isa.hpp>
#include <thread>
#include <vector>

using namespace tess;
using tess::cuda::blocks;
using tess::cuda::Event;
using tess::cuda::Gpu;
using tess::cuda::Stream;

namespace {

__global__ void add(float* x, float value) { x[threadIdx.x] += value; }
__global__ void copy(const float* x, float* y) { y[threadIdx.x] = x[threadIdx.x]; }
__global__ void nothing() {}

void queue_add(cudaStream_t stream, float* x, float value) {
  cuda::launch(stream, add, {.grid = blocks(1), .block = blocks(4)}, x, value);
}
/// Four floats of a GPU, zeros.
struct Four {
  float* data = nullptr;
  explicit Four(cudaStream_t stream) {
    cuda::check(cudaMalloc(&data, 16), "cudaMalloc");
    cuda::check(cudaMemsetAsync(data, 0, 16, stream), "cudaMemsetAsync");
  }
  Four(const Four&) = delete;
  Four& operator=(const Four&) = delete;
  ~Four() { (void)cudaFree(data); }
  float first(cudaStream_t stream) const {
    float v = 0;
    cuda::check(cudaMemcpyAsync(&v, data, 4, cudaMemcpyDeviceToHost, stream), "cudaMemcpyAsync");
    cuda::check(cudaStreamSynchronize(stream), "cudaStreamSynchronize");
    return v;
  }
};
struct Lazy {  // for a while, what is queued runs when somebody waits
  bool before = emulation::set_eager(false);
  Lazy() = default;
  Lazy(const Lazy&) = delete;
  Lazy& operator=(const Lazy&) = delete;
  ~Lazy() { emulation::set_eager(before); }
};

}  // namespace

TEST_CASE("memory: sizes, kinds, and what is refused") {
  emulation::set_devices(2);
  REQUIRE(cudaSetDevice(1) == cudaSuccess);
  void *device = nullptr, *pinned = nullptr;
  REQUIRE(cudaMalloc(&device, 100) == cudaSuccess);
  REQUIRE(cudaHostAlloc(&pinned, 100, 0) == cudaSuccess);
  char pageable[100] = {};
  cudaPointerAttributes a{};
  REQUIRE(cudaPointerGetAttributes(&a, static_cast<char*>(device) + 99) == cudaSuccess);
  CHECK(a.type == cudaMemoryTypeDevice);
  CHECK(a.device == 1);
  REQUIRE(cudaPointerGetAttributes(&a, pinned) == cudaSuccess);
  CHECK(a.type == cudaMemoryTypeHost);
  REQUIRE(cudaPointerGetAttributes(&a, pageable) == cudaSuccess);
  CHECK(a.type == cudaMemoryTypeUnregistered);

  CHECK(cudaMemcpy(device, pageable, 100, cudaMemcpyHostToDevice) == cudaSuccess);
  CHECK(cudaMemcpy(device, pageable, 101, cudaMemcpyHostToDevice) == cudaErrorInvalidValue);
  CHECK(cudaMemcpy(device, pageable, 100, cudaMemcpyDeviceToHost) == cudaErrorInvalidValue);
  CHECK(cudaMemsetAsync(pageable, 0, 100, nullptr) == cudaErrorInvalidValue);
  CHECK(cudaMemcpy2DAsync(device, 8, pageable, 16, 9, 2, cudaMemcpyHostToDevice) == cudaErrorInvalidPitchValue);
  CHECK(cudaFree(static_cast<char*>(device) + 1) == cudaErrorInvalidValue);
  CHECK(cudaFree(pinned) == cudaErrorInvalidValue);
  CHECK(cudaGetLastError() == cudaErrorInvalidValue);
  CHECK(cudaGetLastError() == cudaSuccess);
  CHECK(std::string(cudaGetErrorName(cudaErrorInvalidValue)) == "cudaErrorInvalidValue");
  CHECK(std::string(cudaGetErrorString(cudaErrorInvalidValue)) == "invalid argument");
  CHECK(cudaFree(device) == cudaSuccess);
  CHECK(cudaFreeHost(pinned) == cudaSuccess);
  CHECK(cudaSetDevice(2) == cudaErrorInvalidDevice);
  REQUIRE(cudaSetDevice(0) == cudaSuccess);

  emulation::set_memory(1000);
  CHECK(cudaMalloc(&device, 1001) == cudaErrorMemoryAllocation);
  emulation::set_memory(std::size_t{8} << 30);
  (void)cudaGetLastError();
}

TEST_CASE("rows of different pitches") {
  Stream stream;
  Four four(stream);
  const float x[] = {1, 2, 9, 3, 4, 9};  // [2, 2], pitch 3
  float y[6] = {};
  cuda::check(cudaMemcpy2DAsync(four.data, 8, x, 12, 8, 2, cudaMemcpyHostToDevice, stream), "cudaMemcpy2DAsync");
  cuda::check(cudaMemcpy2DAsync(y, 12, four.data, 8, 8, 2, cudaMemcpyDeviceToHost, stream), "cudaMemcpy2DAsync");
  CHECK(std::vector<float>(y, y + 6) == std::vector<float>{1, 2, 0, 3, 4, 0});
}

TEST_CASE("what is queued may run late: pageable memory is read at once, pinned memory is not") {
  const Lazy lazy;
  Stream stream;
  Four four(stream);
  float pageable[4] = {1, 1, 1, 1};
  float* pinned = nullptr;
  REQUIRE(cudaMallocHost(reinterpret_cast<void**>(&pinned), 16) == cudaSuccess);
  for (int i = 0; i < 4; ++i) pinned[i] = 1;
  cuda::check(cudaMemcpyAsync(four.data, pageable, 16, cudaMemcpyHostToDevice, stream), "cudaMemcpyAsync");
  pageable[0] = 5;
  queue_add(stream, four.data, 1);
  CHECK(four.first(stream) == 2);
  cuda::check(cudaMemcpyAsync(four.data, pinned, 16, cudaMemcpyHostToDevice, stream), "cudaMemcpyAsync");
  pinned[0] = 5;
  CHECK(four.first(stream) == 5);
  CHECK(cudaFreeHost(pinned) == cudaSuccess);
}

TEST_CASE("streams wait for events, and for nothing else") {
  const Lazy lazy;
  Stream one, two;
  Four x(one), y(one);
  REQUIRE(cudaStreamSynchronize(one) == cudaSuccess);
  Event event;
  CHECK(cudaStreamWaitEvent(two, event, 0) == cudaSuccess);  // never recorded: nothing to wait for
  queue_add(one, x.data, 3);
  REQUIRE(cudaEventRecord(event, one) == cudaSuccess);
  CHECK(cudaStreamQuery(one) != cudaErrorInvalidValue);
  REQUIRE(cudaStreamWaitEvent(two, event, 0) == cudaSuccess);
  cuda::launch(two, copy, {.grid = blocks(1), .block = blocks(4)}, static_cast<const float*>(x.data), y.data);
  CHECK(y.first(two) == 3);
  CHECK(cudaEventQuery(event) == cudaSuccess);

  cudaEvent_t from = nullptr, to = nullptr;
  REQUIRE(cudaEventCreate(&from) == cudaSuccess);
  REQUIRE(cudaEventCreate(&to) == cudaSuccess);
  float milliseconds = -1;
  CHECK(cudaEventElapsedTime(&milliseconds, from, to) == cudaErrorInvalidResourceHandle);
  REQUIRE(cudaEventRecord(from, one) == cudaSuccess);
  REQUIRE(cudaEventRecord(to, one) == cudaSuccess);
  REQUIRE(cudaEventSynchronize(to) == cudaSuccess);
  CHECK(cudaEventElapsedTime(&milliseconds, from, to) == cudaSuccess);
  CHECK(milliseconds >= 0);
  CHECK(cudaEventDestroy(from) == cudaSuccess);
  CHECK(cudaEventDestroy(to) == cudaSuccess);
  (void)cudaGetLastError();
}

TEST_CASE("limits of launches") {
  emulation::set_devices(2);
  Gpu gpu(0);
  const auto error = [&](const cuda::Launch& how) -> std::string {
    try {
      gpu.run(nothing, how);
    } catch (const Error& e) {
      (void)cudaGetLastError();
      return e.what();
    }
    return "";
  };
  CHECK(error({.grid = blocks(1), .block = blocks(1024)}) == "");
  CHECK(error({.grid = blocks(1), .block = blocks(1025)}).find("cudaErrorInvalidConfiguration") != std::string::npos);
  CHECK(error({.grid = blocks(1, 65536), .block = blocks(32)}).find("cudaErrorInvalidConfiguration") !=
        std::string::npos);
  CHECK(error({.grid = blocks(1), .block = blocks(32), .shared = 227 << 10}) == "");
  CHECK(error({.grid = blocks(1), .block = blocks(32), .shared = (227 << 10) + 1}).find("cudaErrorInvalidValue") !=
        std::string::npos);
  cudaLaunchConfig_t config = {};
  config.gridDim = config.blockDim = dim3(1), config.stream = gpu.stream(), config.dynamicSmemBytes = 49 << 10;
  CHECK(cudaLaunchKernelEx(&config, copy, static_cast<const float*>(nullptr), static_cast<float*>(nullptr)) ==
        cudaErrorInvalidValue);
  config.dynamicSmemBytes = 0;
  REQUIRE(cudaSetDevice(1) == cudaSuccess);
  CHECK(cudaLaunchKernelEx(&config, nothing) == cudaErrorInvalidResourceHandle);  // a stream of the other GPU
  REQUIRE(cudaSetDevice(0) == cudaSuccess);
  int fit = 0;
  REQUIRE(cudaOccupancyMaxActiveBlocksPerMultiprocessor(&fit, nothing, 256, 100 << 10) == cudaSuccess);
  CHECK(fit == 2);
  (void)cudaGetLastError();
}

TEST_CASE("a step is recorded, and replayed with other data") {
  Stream stream, other;
  Four x(stream), y(stream);
  REQUIRE(cudaStreamSynchronize(stream) == cudaSuccess);
  const std::uint64_t before = emulation::launches();
  REQUIRE(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal) == cudaSuccess);
  cudaStreamCaptureStatus status{};
  REQUIRE(cudaStreamIsCapturing(stream, &status) == cudaSuccess);
  CHECK(status == cudaStreamCaptureStatusActive);
  queue_add(stream, x.data, 2);
  Event fork, join;  // the copy goes through another stream
  REQUIRE(cudaEventRecord(fork, stream) == cudaSuccess);
  REQUIRE(cudaStreamWaitEvent(other, fork, 0) == cudaSuccess);
  cuda::launch(other, copy, {.grid = blocks(1), .block = blocks(4)}, static_cast<const float*>(x.data), y.data);
  REQUIRE(cudaEventRecord(join, other) == cudaSuccess);
  REQUIRE(cudaStreamWaitEvent(stream, join, 0) == cudaSuccess);
  cudaGraph_t graph = nullptr;
  REQUIRE(cudaStreamEndCapture(stream, &graph) == cudaSuccess);
  std::size_t nodes = 0;
  REQUIRE(cudaGraphGetNodes(graph, nullptr, &nodes) == cudaSuccess);
  CHECK(nodes == 2);
  cudaGraphExec_t exec = nullptr;
  REQUIRE(cudaGraphInstantiate(&exec, graph, 0) == cudaSuccess);
  REQUIRE(cudaGraphDestroy(graph) == cudaSuccess);
  CHECK(x.first(stream) == 0);  // recorded, not run
  for (int i = 0; i < 3; ++i) REQUIRE(cudaGraphLaunch(exec, stream) == cudaSuccess);
  CHECK(x.first(stream) == 6);
  CHECK(y.first(stream) == 6);
  CHECK(emulation::launches() - before == 2);
  REQUIRE(cudaGraphExecDestroy(exec) == cudaSuccess);
}

TEST_CASE("what cannot be recorded") {
  Stream stream, other;
  Four x(stream);
  REQUIRE(cudaStreamSynchronize(stream) == cudaSuccess);
  float pageable[4] = {};
  void* p = nullptr;
  cudaGraph_t graph = nullptr;
  const auto capture = [&](cudaStreamCaptureMode mode, auto f) {
    REQUIRE(cudaStreamBeginCapture(stream, mode) == cudaSuccess);
    f();
    const cudaError_t e = cudaStreamEndCapture(stream, &graph);
    if (e == cudaSuccess) (void)cudaGraphDestroy(graph);
    (void)cudaGetLastError();
    return e;
  };
  const auto global = cudaStreamCaptureModeGlobal;
  CHECK(capture(global, [&] { CHECK(cudaStreamSynchronize(stream) == cudaErrorStreamCaptureUnsupported); }) ==
        cudaErrorStreamCaptureInvalidated);
  CHECK(capture(global, [&] { CHECK(cudaMalloc(&p, 16) == cudaErrorStreamCaptureUnsupported); }) ==
        cudaErrorStreamCaptureInvalidated);
  CHECK(capture(cudaStreamCaptureModeRelaxed, [&] {
          CHECK(cudaMalloc(&p, 16) == cudaSuccess);
          CHECK(cudaFree(p) == cudaSuccess);
        }) == cudaSuccess);
  CHECK(capture(global, [&] {
          cudaStreamCaptureMode mode = cudaStreamCaptureModeRelaxed;  // of this thread, for a while
          REQUIRE(cudaThreadExchangeStreamCaptureMode(&mode) == cudaSuccess);
          CHECK(cudaMalloc(&p, 16) == cudaSuccess);
          REQUIRE(cudaThreadExchangeStreamCaptureMode(&mode) == cudaSuccess);
        }) == cudaSuccess);
  CHECK(cudaFree(p) == cudaSuccess);
  CHECK(capture(global, [&] {
          CHECK(cudaMemcpyAsync(x.data, pageable, 16, cudaMemcpyHostToDevice, stream) ==
                cudaErrorStreamCaptureUnsupported);
        }) == cudaErrorStreamCaptureInvalidated);
  Event before, forked;
  REQUIRE(cudaEventRecord(before, other) == cudaSuccess);
  CHECK(capture(global, [&] { CHECK(cudaStreamWaitEvent(stream, before, 0) == cudaErrorStreamCaptureIsolation); }) ==
        cudaErrorStreamCaptureInvalidated);
  CHECK(capture(global, [&] {  // work in another stream that the first does not wait for
          REQUIRE(cudaEventRecord(forked, stream) == cudaSuccess);
          REQUIRE(cudaStreamWaitEvent(other, forked, 0) == cudaSuccess);
          queue_add(other, x.data, 1);
        }) == cudaErrorStreamCaptureUnjoined);
  CHECK(capture(global, [&] {  // another thread's calls disturb it too
          std::thread([] {
            void* q = nullptr;
            CHECK(cudaMalloc(&q, 16) == cudaErrorStreamCaptureUnsupported);
          }).join();
        }) == cudaErrorStreamCaptureInvalidated);
  CHECK(x.first(stream) == 0);
}

TEST_CASE("threads of the system launch at the same time") {
  emulation::set_devices(2);
  std::vector<std::thread> threads;
  std::vector<float> found(4);
  for (int t = 0; t < 4; ++t)
    threads.emplace_back([t, &found] {
      Gpu gpu(t % 2);
      auto x = gpu.scratch<float>(4);
      cuda::check(cudaMemsetAsync(x.get(), 0, 16, gpu.stream()), "cudaMemsetAsync");
      for (int i = 0; i < 50; ++i) queue_add(gpu.stream(), x.get(), static_cast<float>(t));
      gpu.download(&found[static_cast<std::size_t>(t)], x.get(), 4);
    });
  for (auto& t : threads) t.join();
  CHECK(found == std::vector<float>{0, 50, 100, 150});
}
