// The functions of the CUDA runtime: steps that are recorded, and graphs.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "api_device.hpp"

inline cudaError_t cudaStreamBeginCapture(cudaStream_t stream, cudaStreamCaptureMode mode) {
  emulation::Runtime& r = emulation::Runtime::get();
  const std::lock_guard lock(r.mutex);
  if (!stream) return emulation::result(cudaErrorStreamCaptureUnsupported);
  if (stream->capture) return emulation::result(cudaErrorInvalidValue);
  auto c = std::make_shared<emulation::Capture>();
  c->mode = mode, c->thread = std::this_thread::get_id(), c->origin = stream;
  stream->capture = c, stream->tail.clear();
  r.captures.push_back(c);
  return cudaSuccess;
}
inline cudaError_t cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t* graph) {
  emulation::Runtime& r = emulation::Runtime::get();
  const std::lock_guard lock(r.mutex);
  *graph = nullptr;
  const auto c = stream->capture;
  if (!c) return emulation::result(cudaErrorInvalidValue);
  if (c->origin != stream) return emulation::result(cudaErrorStreamCaptureUnmatched);
  if (c->mode != cudaStreamCaptureModeRelaxed && c->thread != std::this_thread::get_id())
    return emulation::result(cudaErrorStreamCaptureWrongThread);
  // What the origin's last nodes come after, directly or not.
  std::vector<bool> joined(c->graph.nodes.size());
  std::vector<std::size_t> open = stream->tail;
  while (!open.empty()) {
    const std::size_t n = open.back();
    open.pop_back();
    if (joined[n]) continue;
    joined[n] = true;
    const auto& after = c->graph.nodes[n].after;
    open.insert(open.end(), after.begin(), after.end());
  }
  for (emulation::Stream* s : r.all_streams())
    if (s->capture == c) s->capture = nullptr, s->tail.clear();
  c->origin = nullptr;
  std::erase_if(r.captures, [&](const auto& weak) { return weak.expired() || weak.lock() == c; });
  if (c->invalid) return emulation::result(cudaErrorStreamCaptureInvalidated);
  if (std::find(joined.begin(), joined.end(), false) != joined.end())
    return emulation::result(cudaErrorStreamCaptureUnjoined);
  *graph = new emulation::Graph(std::move(c->graph));
  return cudaSuccess;
}
inline cudaError_t cudaStreamIsCapturing(cudaStream_t stream, cudaStreamCaptureStatus* status) {
  emulation::Runtime& r = emulation::Runtime::get();
  const std::lock_guard lock(r.mutex);
  const auto& c = r.stream_of(stream).capture;
  *status = !c           ? cudaStreamCaptureStatusNone
            : c->invalid ? cudaStreamCaptureStatusInvalidated
                         : cudaStreamCaptureStatusActive;
  return cudaSuccess;
}
inline cudaError_t cudaThreadExchangeStreamCaptureMode(cudaStreamCaptureMode* mode) {
  *mode = std::exchange(emulation::Runtime::thread_mode(), *mode);
  return cudaSuccess;
}
inline cudaError_t cudaGraphInstantiate(cudaGraphExec_t* exec, cudaGraph_t graph, unsigned long long = 0) {
  if (!graph) return emulation::result(cudaErrorInvalidValue);
  *exec = new emulation::Graph(*graph);
  return cudaSuccess;
}
inline cudaError_t cudaGraphDestroy(cudaGraph_t graph) {
  delete graph;
  return cudaSuccess;
}
inline cudaError_t cudaGraphExecDestroy(cudaGraphExec_t exec) {
  delete exec;
  return cudaSuccess;
}
inline cudaError_t cudaGraphGetNodes(cudaGraph_t graph, cudaGraphNode_t* nodes, std::size_t* count) {
  if (nodes)
    for (std::size_t i = 0; i < *count && i < graph->nodes.size(); ++i) nodes[i] = &graph->nodes[i];
  *count = graph->nodes.size();
  return cudaSuccess;
}
inline cudaError_t cudaGraphLaunch(cudaGraphExec_t exec, cudaStream_t stream) {
  emulation::Runtime& r = emulation::Runtime::get();
  const std::lock_guard lock(r.mutex);
  if (!exec) return emulation::result(cudaErrorInvalidValue);
  const auto graph = std::make_shared<const emulation::Graph>(*exec);
  return emulation::result(
      r.queue(r.stream_of(stream), {"cudaGraphLaunch", [graph](const emulation::Context& c) -> emulation::Step {
                                      auto run = std::make_shared<emulation::GraphRun>(graph, c);
                                      return [run] { return run->progress(); };
                                    }}));
}
