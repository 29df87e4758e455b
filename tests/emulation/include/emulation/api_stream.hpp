// The functions of the CUDA runtime: streams and events.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "api_device.hpp"

inline cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned flags) {
  emulation::Runtime& r = emulation::Runtime::get();
  const std::lock_guard lock(r.mutex);
  auto* s = new emulation::Stream;
  s->device = emulation::Runtime::device(), s->number = r.free_number(),
  s->blocking = (flags & cudaStreamNonBlocking) == 0;
  r.streams.insert(s);
  *stream = s;
  return cudaSuccess;
}
inline cudaError_t cudaStreamCreate(cudaStream_t* stream) {
  return cudaStreamCreateWithFlags(stream, cudaStreamDefault);
}
inline cudaError_t cudaStreamCreateWithPriority(cudaStream_t* stream, unsigned flags, int) {
  return cudaStreamCreateWithFlags(stream, flags);
}
inline cudaError_t cudaStreamDestroy(cudaStream_t stream) {
  emulation::Runtime& r = emulation::Runtime::get();
  const std::lock_guard lock(r.mutex);
  if (!stream || !r.streams.count(stream)) return emulation::result(cudaErrorInvalidResourceHandle);
  try {
    r.wait_for(*stream);
  } catch (...) {
    if (!r.late) r.late = std::current_exception();
  }
  r.forget(*stream);
  r.streams.erase(stream);
  delete stream;
  return cudaSuccess;
}
inline cudaError_t cudaStreamSynchronize(cudaStream_t stream) {
  emulation::Runtime& r = emulation::Runtime::get();
  const std::lock_guard lock(r.mutex);
  emulation::Stream& s = r.stream_of(stream);
  if (s.capture) {
    s.capture->invalid = true;
    return emulation::result(cudaErrorStreamCaptureUnsupported);
  }
  if (emulation::disturbs_capture()) return emulation::result(cudaErrorStreamCaptureUnsupported);
  r.wait_for(s);
  return cudaSuccess;
}
inline cudaError_t cudaStreamQuery(cudaStream_t stream) {
  emulation::Runtime& r = emulation::Runtime::get();
  const std::lock_guard lock(r.mutex);
  r.advance_all();
  emulation::Stream& s = r.stream_of(stream);
  if (!s.empty()) return cudaErrorNotReady;
  emulation::tsan::acquire(&s.token);
  return cudaSuccess;
}
inline cudaError_t cudaEventCreateWithFlags(cudaEvent_t* event, unsigned flags) {
  *event = new emulation::Event;
  (*event)->timing = (flags & cudaEventDisableTiming) == 0;
  return cudaSuccess;
}
inline cudaError_t cudaEventCreate(cudaEvent_t* event) { return cudaEventCreateWithFlags(event, cudaEventDefault); }
inline cudaError_t cudaEventDestroy(cudaEvent_t event) {
  if (!event) return emulation::result(cudaErrorInvalidResourceHandle);
  delete event;
  return cudaSuccess;
}
inline cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream = nullptr) {
  emulation::Runtime& r = emulation::Runtime::get();
  const std::lock_guard lock(r.mutex);
  emulation::Stream& s = r.stream_of(stream);
  if (s.capture) {
    event->capture = s.capture, event->nodes = s.tail;
    return cudaSuccess;
  }
  event->capture = nullptr;
  const auto state = event->state;
  const std::uint64_t number = ++state->asked;
  return emulation::result(
      emulation::queue_step(stream, "cudaEventRecord", [state, number](const emulation::Context& c) {
        c.engine->release(&state->token);
        state->milliseconds =
            std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now().time_since_epoch()).count();
        state->reached = number;
      }));
}
inline cudaError_t cudaStreamWaitEvent(cudaStream_t stream, cudaEvent_t event, unsigned = 0) {
  emulation::Runtime& r = emulation::Runtime::get();
  const std::lock_guard lock(r.mutex);
  emulation::Stream& s = r.stream_of(stream);
  if (event->capture) {
    if (!event->capture->origin) return emulation::result(cudaErrorCapturedEvent);
    if (s.capture && s.capture != event->capture) return emulation::result(cudaErrorStreamCaptureMerge);
    if (!s.capture) s.capture = event->capture, s.tail.clear();
    for (const std::size_t n : event->nodes)
      if (std::find(s.tail.begin(), s.tail.end(), n) == s.tail.end()) s.tail.push_back(n);
    return cudaSuccess;
  }
  if (s.capture) {
    s.capture->invalid = true;
    return emulation::result(cudaErrorStreamCaptureIsolation);
  }
  const auto state = event->state;
  const std::uint64_t number = state->asked;
  if (number == 0) return cudaSuccess;
  return emulation::result(
      r.queue(s, {"cudaStreamWaitEvent", [state, number](const emulation::Context& c) -> emulation::Step {
                    return [state, number, c] {
                      if (state->reached < number) return false;
                      c.engine->acquire(&state->token);
                      c.engine->release(c.after), c.engine->release(c.early);
                      return true;
                    };
                  }}));
}
inline cudaError_t cudaEventSynchronize(cudaEvent_t event) {
  if (event->capture) return emulation::result(cudaErrorCapturedEvent);
  if (emulation::disturbs_capture()) return emulation::result(cudaErrorStreamCaptureUnsupported);
  const auto state = event->state;
  const std::uint64_t number = state->asked;
  emulation::Runtime::get().wait([&] { return state->reached >= number; });
  emulation::tsan::acquire(&state->token);
  return cudaSuccess;
}
inline cudaError_t cudaEventQuery(cudaEvent_t event) {
  if (event->capture) return emulation::result(cudaErrorCapturedEvent);
  if (emulation::disturbs_capture()) return emulation::result(cudaErrorStreamCaptureUnsupported);
  emulation::Runtime& r = emulation::Runtime::get();
  const std::lock_guard lock(r.mutex);
  r.advance_all();
  return event->state->reached >= event->state->asked ? cudaSuccess : cudaErrorNotReady;
}
inline cudaError_t cudaEventElapsedTime(float* milliseconds, cudaEvent_t from, cudaEvent_t to) {
  if (!from->timing || !to->timing || !from->state->asked || !to->state->asked)
    return emulation::result(cudaErrorInvalidResourceHandle);
  if (cudaEventQuery(from) != cudaSuccess || cudaEventQuery(to) != cudaSuccess)
    return emulation::result(cudaErrorNotReady);
  *milliseconds = static_cast<float>(to->state->milliseconds - from->state->milliseconds);
  return cudaSuccess;
}
inline cudaError_t cudaLaunchHostFunc(cudaStream_t stream, cudaHostFn_t f, void* data) {
  return emulation::result(emulation::queue(stream, "cudaLaunchHostFunc", [=] { f(data); }));
}
