// Stream, Event, Graph: work in order, run by the thread of the system that asks for it.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <atomic>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "sanitizers.hpp"
#include "types.hpp"

namespace emulation {

/// Goes on with an operation; true when it is done. False: it waits for something, call again.
using Step = std::function<bool()>;

/// Where an operation runs.
struct Context {
  std::size_t stream = 0;  // a number for it
  tsan::Actor* engine = nullptr;
  // For TSan: what it comes after, where it tells that it was done, and what a kernel comes after that overlaps.
  const void *before = nullptr, *after = nullptr, *early = nullptr;
  std::function<std::string()>* describe = nullptr;  // what it waits for
};

/// What is queued in a stream: a kernel, a copy. `begin` starts it, once for each time a graph that has it is launched.
struct Operation {
  std::string name;
  std::function<Step(const Context&)> begin;
};

struct GraphNode {
  Operation operation;
  std::vector<std::size_t> after;  // nodes of the graph
};
struct Graph {
  std::vector<GraphNode> nodes;
};

/// A step that is being recorded, in one or more streams.
struct Capture {
  cudaStreamCaptureMode mode = cudaStreamCaptureModeGlobal;
  std::thread::id thread;
  Stream* origin = nullptr;
  bool invalid = false;
  Graph graph;
};

/// How far an event has come: the record that was asked for last, and the last that was reached.
struct EventState {
  std::uint64_t asked = 0;
  std::atomic<std::uint64_t> reached = 0;
  double milliseconds = 0;
  char token = 0;  // for TSan
};
struct Event {
  std::shared_ptr<EventState> state = std::make_shared<EventState>();
  std::shared_ptr<Capture> capture;  // where it was recorded last, if that is a step under capture
  std::vector<std::size_t> nodes;
  bool timing = true;
};

struct Stream {
  int device = 0;
  std::size_t number = 0;
  bool blocking = true;  // it waits for the legacy stream and the other way round
  std::deque<Operation> queue;
  Step running;  // the operation before those in the queue, if it has begun
  std::string running_name;
  std::function<std::string()> describe;  // what it waits for; may be empty
  bool busy = false;                      // somebody is in it
  std::thread::id home;                   // who queued last, and runs it
  std::thread::id runner;                 // who began what runs: fibres cannot move
  std::shared_ptr<Capture> capture;
  std::vector<std::size_t> tail;  // nodes after which the next one comes
  tsan::Actor engine;
  char token = 0,
       early = 0;  // for TSan: what was done in it so far, and what was before a kernel that may not have ended

  bool empty() const { return queue.empty() && !running; }
};

}  // namespace emulation
