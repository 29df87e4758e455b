// What AddressSanitizer and ThreadSanitizer are told about fibres and about what orders memory; nothing without them.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstddef>

#if defined(__has_feature)
#if __has_feature(address_sanitizer) && !defined(__SANITIZE_ADDRESS__)
#define __SANITIZE_ADDRESS__ 1
#endif
#if __has_feature(thread_sanitizer) && !defined(__SANITIZE_THREAD__)
#define __SANITIZE_THREAD__ 1
#endif
#endif

#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif
#ifdef __SANITIZE_THREAD__
#include <sanitizer/tsan_interface.h>
#endif

/// For functions that switch fibres, or use what another fibre of the same OS thread has used: no sanitizer can see that they
/// take turns.
#ifdef __SANITIZE_THREAD__
#define EMULATION_UNCHECKED __attribute__((no_sanitize("thread"), noinline))
#else
#define EMULATION_UNCHECKED
#endif

namespace emulation::asan {

inline void start_switch([[maybe_unused]] void** fake_stack, [[maybe_unused]] const void* bottom,
                         [[maybe_unused]] std::size_t size) {
#ifdef __SANITIZE_ADDRESS__
  __sanitizer_start_switch_fiber(fake_stack, bottom, size);
#endif
}
inline void finish_switch([[maybe_unused]] void* fake_stack, [[maybe_unused]] const void** bottom,
                          [[maybe_unused]] std::size_t* size) {
#ifdef __SANITIZE_ADDRESS__
  __sanitizer_finish_switch_fiber(fake_stack, bottom, size);
#endif
}
/// A stack that is given back: what was poisoned in it is not any more.
inline void forget([[maybe_unused]] const void* at, [[maybe_unused]] std::size_t size) {
#ifdef __SANITIZE_ADDRESS__
  __asan_unpoison_memory_region(at, size);
#endif
}

}  // namespace emulation::asan

#ifdef __SANITIZE_THREAD__
extern "C" {
void AnnotateIgnoreReadsBegin(const char* file, int line);
void AnnotateIgnoreReadsEnd(const char* file, int line);
void AnnotateIgnoreWritesBegin(const char* file, int line);
void AnnotateIgnoreWritesEnd(const char* file, int line);
/// There are a thousand threads and more: each keeps a short history.
inline __attribute__((used)) const char* __tsan_default_options() { return "history_size=0"; }
}
#endif

namespace emulation::tsan {

/// What the current fibre does while this lives is not looked at: it uses the emulator's own memory.
class Unchecked {
 public:
#ifdef __SANITIZE_THREAD__
  Unchecked() { AnnotateIgnoreReadsBegin(__FILE__, __LINE__), AnnotateIgnoreWritesBegin(__FILE__, __LINE__); }
  ~Unchecked() { AnnotateIgnoreWritesEnd(__FILE__, __LINE__), AnnotateIgnoreReadsEnd(__FILE__, __LINE__); }
#else
  Unchecked() {}
#endif
  Unchecked(const Unchecked&) = delete;
  Unchecked& operator=(const Unchecked&) = delete;
};

#ifdef __SANITIZE_THREAD__
inline constexpr bool on = true;
inline void* create() { return __tsan_create_fiber(0); }
inline void destroy(void* fiber) { __tsan_destroy_fiber(fiber); }
inline void* current() { return __tsan_get_current_fiber(); }
/// Without ordering what either of them does.
inline void switch_to(void* fiber) { __tsan_switch_to_fiber(fiber, __tsan_switch_to_fiber_no_sync); }
/// What the caller did so far happened before whatever is done after acquire(token).
inline void release(const void* token) { __tsan_release(const_cast<void*>(token)); }
inline void acquire(const void* token) { __tsan_acquire(const_cast<void*>(token)); }
#else
inline constexpr bool on = false;
inline void* create() { return nullptr; }
inline void destroy(void*) {}
inline void* current() { return nullptr; }
inline void switch_to(void*) {}
inline void release(const void*) {}
inline void acquire(const void*) {}
#endif

/// Somebody who does things beside the threads, as TSan sees it: the copy engine of a stream, say. What is done in its place
/// has to be unchecked code that calls what is checked, such as memcpy: its captures are the caller's.
class Actor {
 public:
  Actor() : fiber_(create()) {}
  Actor(const Actor&) = delete;
  Actor& operator=(const Actor&) = delete;
  ~Actor() { destroy(fiber_); }

  EMULATION_UNCHECKED void acquire(const void* token) {
    const Place place(fiber_);
    tsan::acquire(token);
  }
  EMULATION_UNCHECKED void release(const void* token) {
    const Place place(fiber_);
    tsan::release(token);
  }
  EMULATION_UNCHECKED void copy_rows(void* to, std::size_t to_pitch, const void* from, std::size_t from_pitch,
                                     std::size_t width, std::size_t height) {
    const Place place(fiber_);
    for (std::size_t i = 0; i < height; ++i)
      __builtin_memcpy(static_cast<char*>(to) + i * to_pitch, static_cast<const char*>(from) + i * from_pitch, width);
  }
  EMULATION_UNCHECKED void fill(void* to, int value, std::size_t bytes) {
    const Place place(fiber_);
    __builtin_memset(to, value, bytes);
  }
  /// Ends an object after what was told at `token`, and after what the caller did.
  template <class T>
  EMULATION_UNCHECKED void destroy_after(const void* token, T* object) {
    tsan::release(token);
    const Place place(fiber_);
    tsan::acquire(token);
    delete object;
  }

 private:
  struct Place {
    void* self;
    EMULATION_UNCHECKED explicit Place(void* fiber) : self(current()) { switch_to(fiber); }
    EMULATION_UNCHECKED ~Place() { switch_to(self); }
  };
  void* fiber_;
};

/// Frees what threads of kernels have used, and tells nobody that they have.
inline Actor& reaper() {
  static thread_local Actor actor;
  return actor;
}

}  // namespace emulation::tsan
