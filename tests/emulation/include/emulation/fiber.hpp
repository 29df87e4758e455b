// Fibres: the stacks on which the threads of an emulated block run, and the switch from one to another.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <sys/auxv.h>
#include <sys/mman.h>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <new>
#include <stdexcept>

#if !defined(__x86_64__) && !defined(TESS_EMULATION_UCONTEXT)
#define TESS_EMULATION_UCONTEXT
#endif
#ifdef TESS_EMULATION_UCONTEXT
#include <ucontext.h>
#endif

#include "sanitizers.hpp"

#ifndef TESS_EMULATION_UCONTEXT
// tess_emulation_switch(void** here, void* there): keeps what a callee has to keep, leaves its stack, goes on in the other.
asm(R"(
.text
.p2align 4
.weak tess_emulation_switch
.type tess_emulation_switch, @function
tess_emulation_switch:
  pushq %rbp
  pushq %rbx
  pushq %r12
  pushq %r13
  pushq %r14
  pushq %r15
  movq %rsp, (%rdi)
  movq %rsi, %rsp
  popq %r15
  popq %r14
  popq %r13
  popq %r12
  popq %rbx
  popq %rbp
  ret
.size tess_emulation_switch, .-tess_emulation_switch
)");
extern "C" void tess_emulation_switch(void** here, void* there);
#endif

namespace emulation {

/// A place to go on from: the caller's own stack, or one made here. It stays on the thread of the system that made it.
class Fiber {
 public:
  static constexpr std::size_t stack_bytes = 256 << 10;  // taken from the system page by page as it is touched

  /// The stack that the caller is on.
  Fiber() = default;
  /// A new one on which `entry` runs at the first switch; it never returns. `number` spreads stacks over the sets of a cache.
  Fiber(void (*entry)(), std::size_t number) {
    const auto page = static_cast<std::size_t>(getauxval(AT_PAGESZ));
    mapped_ = stack_bytes + page;
    void* memory = mmap(nullptr, mapped_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED) throw std::bad_alloc();
    memory_ = static_cast<std::byte*>(memory);
    (void)mprotect(memory_, page, PROT_NONE);
    bottom_ = memory_ + page;
    std::byte* top = bottom_ + stack_bytes - number % 32 * 320 / 64 * 64;
#ifdef TESS_EMULATION_UCONTEXT
    getcontext(&place_);
    place_.uc_stack.ss_sp = bottom_, place_.uc_stack.ss_size = static_cast<std::size_t>(top - bottom_);
    place_.uc_link = nullptr;
    makecontext(&place_, entry, 0);
#else
    auto* words = reinterpret_cast<void**>(top) - 1;  // at entry, the stack is 8 past a multiple of 16
    *words = nullptr;                                 // where entry would return to
    *--words = reinterpret_cast<void*>(entry);
    for (int saved = 0; saved < 6; ++saved) *--words = nullptr;
    place_ = words;
#endif
    thread_ = tsan::create();
  }
  Fiber(const Fiber&) = delete;
  Fiber& operator=(const Fiber&) = delete;
  ~Fiber() {
    if (!memory_) return;
    tsan::destroy(thread_);
    asan::forget(bottom_, stack_bytes);
    (void)munmap(memory_, mapped_);
  }

  /// Leaves `from`, which is the current one, and goes on in this one; returns when somebody switches back.
  EMULATION_UNCHECKED void enter(Fiber& from) {
    if (!from.memory_) from.thread_ = tsan::current();
    asan::start_switch(&from.fake_stack_, bottom_, memory_ ? stack_bytes : size_);
    tsan::switch_to(thread_);
    came_from() = &from;
#ifdef TESS_EMULATION_UCONTEXT
    swapcontext(&from.place_, &place_);
#else
    tess_emulation_switch(&from.place_, place_);
#endif
    arrived(from);
  }
  /// To be called first on a new stack.
  EMULATION_UNCHECKED static void arrived(Fiber& here) {
    const void* bottom = nullptr;
    std::size_t size = 0;
    asan::finish_switch(here.fake_stack_, &bottom, &size);
    if (Fiber& other = *came_from();
        !other.memory_)  // the bounds of a stack that is not ours are told to whoever comes from it
      other.bottom_ = static_cast<std::byte*>(const_cast<void*>(bottom)), other.size_ = size;
  }

 private:
  std::byte* memory_ = nullptr;  // nothing for the caller's own
  std::byte* bottom_ = nullptr;
  std::size_t mapped_ = 0, size_ = 0;
  void* fake_stack_ = nullptr;
  void* thread_ = nullptr;
#ifdef TESS_EMULATION_UCONTEXT
  ucontext_t place_{};
#else
  void* place_ = nullptr;
#endif

  EMULATION_UNCHECKED static Fiber*& came_from() {
    static constinit thread_local Fiber* fiber = nullptr;
    return fiber;
  }
};

}  // namespace emulation
