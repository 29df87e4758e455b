// device/cuda/isa_hopper.hpp on a CPU: barriers that count bytes, tensor copies, wgmma by its documented layouts.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstring>
#include <memory>
#include <vector>

#include <tess/tensor/dtype.hpp>

#include "emulated_isa.hpp"
#include "emulated_tensor_map.hpp"

namespace tess::cuda {

struct alignas(8) Barrier {
  std::uint64_t state;
};

namespace emulated {

/// The 64 bits of a barrier.
struct BarrierState {
  std::uint16_t pending;
  std::uint8_t threads, parity;  // parity: of the phase that is under way
  std::int32_t bytes;
};
static_assert(sizeof(BarrierState) == sizeof(Barrier));

/// A tensor copy that has not landed. Nobody knows when it will: here, when somebody waits for its barrier.
struct Flight {
  const emulation::Block* block;
  std::byte* to;
  TensorMap map;
  Barrier* barrier;
  std::array<std::int32_t, 3> at;
};
struct Flights {
  static constexpr int room = 512;
  Flight* flight = nullptr;
  int count = 0;
};
inline constinit thread_local Flights flights{};

EMULATION_UNCHECKED inline emulation::tsan::Actor& copy_engine() {
  static thread_local emulation::tsan::Actor engine;
  return engine;
}

EMULATION_UNCHECKED inline BarrierState load(const Barrier& b) {
  BarrierState s;
  __builtin_memcpy(&s, &b, sizeof(s));
  return s;
}
EMULATION_UNCHECKED inline void keep(Barrier& b, BarrierState s) {
  if (s.pending == 0 && s.bytes == 0) s.parity ^= 1, s.pending = s.threads;
  __builtin_memcpy(&b, &s, sizeof(s));
  emulation::current_block().made_progress();
}
inline void change(Barrier& b, int arrivals, std::int32_t bytes) {
  BarrierState s = load(b);
  if (s.pending < arrivals) emulation::current_block().fail("more threads arrive at a barrier than it was made for");
  s.pending = static_cast<std::uint16_t>(s.pending - arrivals), s.bytes += bytes;
  keep(b, s);
}

/// f(place in shared memory, place in the tensor, bytes of it that are inside) for each 16 bytes of a box. 128-byte swizzle:
/// bits 4-6 of the address are changed by bits 7-9.
template <class F>
void each_chunk(const Flight& f, F g) {
  for (int z = 0; z < f.map.box[2]; ++z)
    for (int y = 0; y < f.map.box[1]; ++y)
      for (int chunk = 0; chunk < 8; ++chunk) {
        const index_t row = index_t{z} * f.map.box[1] + y, at1 = index_t{f.at[1]} + y, at2 = index_t{f.at[2]} + z;
        const bool there = at1 < f.map.extents[1] && at2 < f.map.extents[2];
        const index_t inside = (f.map.extents[0] - f.at[0]) * f.map.element - chunk * 16;
        g(f.to + row * 128 + (chunk ^ static_cast<int>(row % 8)) * 16,
          f.map.data + at2 * f.map.strides[1] + at1 * f.map.strides[0] + f.at[0] * f.map.element + chunk * 16,
          static_cast<std::size_t>(!there || inside < 0 ? 0
                                   : inside < 16        ? inside
                                                        : 16));
      }
}
inline void land(const Flight& f) {
  copy_engine().acquire(f.to);
  each_chunk(f, [](std::byte* to, const std::byte* from, std::size_t inside) {
    if (inside > 0) copy_engine().copy_rows(to, 16, from, 16, inside, 1);
    if (inside < 16) copy_engine().fill(to + inside, 0, 16 - inside);
  });
  copy_engine().release(f.barrier);
  change(*f.barrier, 0, -static_cast<std::int32_t>(f.map.box[0] * f.map.box[1] * f.map.box[2] * f.map.element));
}
EMULATION_UNCHECKED inline bool take_flight(Flight& taken, const Barrier* b) {
  Flights& all = flights;
  for (int i = all.count - 1; i >= 0; --i)
    if (all.flight[i].barrier == b && all.flight[i].block == emulation::current_thread->block) {
      __builtin_memcpy(static_cast<void*>(&taken), all.flight + i, sizeof(Flight));
      __builtin_memcpy(static_cast<void*>(all.flight + i), all.flight + --all.count, sizeof(Flight));
      return true;
    }
  return false;
}
EMULATION_UNCHECKED inline bool add_flight(const Flight& f) {
  Flights& all = flights;
  if (!all.flight)
    all.flight =
        static_cast<Flight*>(::operator new(Flights::room * sizeof(Flight), std::align_val_t(alignof(Flight))));
  if (all.count == Flights::room) return false;
  __builtin_memcpy(static_cast<void*>(all.flight + all.count++), &f, sizeof(Flight));
  return true;
}

}  // namespace emulated

inline void make_barrier(Barrier& b, std::uint32_t arrivals) {
  if (reinterpret_cast<std::uintptr_t>(&b) % 8 != 0)
    emulation::current_block().fail("a barrier at an address that is no multiple of 8");
  emulated::Flight forgotten;
  while (emulated::take_flight(forgotten, &b)) {  // of a kernel that was ended by an error
  }
  emulated::BarrierState s{};
  if (arrivals == 0 || arrivals > 255)
    emulation::current_block().fail("a barrier for more threads than this emulator counts");
  s.pending = s.threads = static_cast<std::uint8_t>(arrivals);
  std::memcpy(&b, &s, sizeof(s));
}
inline void publish_barriers() {}
inline void arrive_and_expect(Barrier& b, std::uint32_t bytes) {
  emulation::tsan::release(&b);
  emulated::change(b, 1, static_cast<std::int32_t>(bytes));
}
inline void arrive(Barrier& b) { arrive_and_expect(b, 0); }
inline void wait(Barrier& b, std::uint32_t parity) {
  while (emulated::load(b).parity == (parity & 1)) {
    emulated::Flight f;
    if (!emulated::take_flight(f, &b)) {
      emulation::pause("a barrier in shared memory");
      continue;
    }
    emulated::land(f);
  }
  emulation::tsan::acquire(&b);
}

inline void copy_box(void* to, const TensorMap& map, Barrier& b, std::int32_t c0, std::int32_t c1, std::int32_t c2) {
  emulation::Block& block = emulation::current_block();
  const std::uint32_t begin = shared_address(to);
  const auto bytes = static_cast<std::size_t>(map.box[0] * map.box[1] * map.box[2] * map.element);
  if (begin % 1024 != 0) block.fail("a tensor copy to an address that is no multiple of 1024");
  if (begin + bytes > block.shared_bytes()) block.fail("a tensor copy beyond shared memory");
  const emulated::Flight f{&block, static_cast<std::byte*>(to), map, &b, {c0, c1, c2}};
  if (c0 < 0 || c1 < 0 || c2 < 0)
    block.fail("a tensor copy from a negative coordinate, which this emulator does not have");
  emulated::each_chunk(
      f, [](std::byte* at, const std::byte*, std::size_t) { std::memset(at, 0xff, 16); });  // until it lands
  emulation::tsan::release(to);
  if (!emulated::add_flight(f)) block.fail("more tensor copies are under way than this emulator keeps");
}

template <int Count>
inline void synchronize_threads(int id) {
  emulation::current_block().named_barrier(static_cast<unsigned>(id), Count);
}

template <int N>
inline void release_registers() {
  static_assert(N % 8 == 0 && N >= 24 && N <= 256);
  (void)emulation::show_to_warpgroup(emulation::Meeting::other, 0, N);
}
template <int N>
inline void acquire_registers() {
  release_registers<N>();
}

namespace emulated {

/// The registers that a thread adds to in the background. They are NaN until it has waited.
struct Accumulator {
  float* registers;
  int count, batches;  // under way
  std::array<float, 64> sums;
};
struct Multiplication {
  Accumulator* to;
  const std::uint32_t* a;
  std::array<std::uint32_t, 4> a_then;
  std::array<float, 2 * 16> rows;  // g and g + 8 of a
  std::uint64_t b;
  bool transposed;
};
struct Batches {
  std::vector<std::unique_ptr<Accumulator>> accumulators;
  std::vector<Multiplication> open;                    // not committed
  std::vector<std::vector<Multiplication>> under_way;  // the oldest first
  bool begun = false;
};
inline Batches& batches() {
  std::shared_ptr<void>& mine = emulation::current_thread->batches;
  if (!mine) mine = std::make_shared<Batches>();
  return *static_cast<Batches*>(mine.get());
}
inline constexpr std::uint32_t not_ready = 0x7fbadbad;  // a NaN

/// Element (n, 0) … (n, 15) of operand B, by the descriptor alone.
inline void load_column(float (&b)[16], std::uint64_t descriptor, int n) {
  emulation::Block& block = emulation::current_block();
  const auto field = [&](int bit, int bits) {
    return static_cast<std::uint32_t>(descriptor >> bit & ((1ull << bits) - 1));
  };
  const std::uint32_t start = field(0, 14) << 4, eight_rows = field(32, 14) << 4;
  if (field(62, 2) != 1 || field(49, 3) != 0)
    block.fail("wgmma: only 128-byte swizzled operands at a multiple of 1024 are emulated");
  for (int chunk = 0; chunk < 2; ++chunk) {
    std::uint32_t at =
        start + static_cast<std::uint32_t>(n / 8) * eight_rows + static_cast<std::uint32_t>(n % 8 * 128 + chunk * 16);
    at ^= at >> 3 & 0x70;
    if (at + 16 > block.shared_bytes()) block.fail("wgmma: operand B lies beyond shared memory");
    const Words words = *reinterpret_cast<const Words*>(block.shared() + at);
    for (int i = 0; i < 4; ++i)
      b[8 * chunk + 2 * i] = low(words.word[i]), b[8 * chunk + 2 * i + 1] = high(words.word[i]);
  }
}
/// The same of an operand whose rows are K: element (0, n) … (15, n).
inline void load_column_transposed(float (&b)[16], std::uint64_t descriptor, int n) {
  emulation::Block& block = emulation::current_block();
  const auto field = [&](int bit, int bits) {
    return static_cast<std::uint32_t>(descriptor >> bit & ((1ull << bits) - 1));
  };
  const std::uint32_t start = field(0, 14) << 4, next_columns = field(16, 14) << 4, eight_rows = field(32, 14) << 4;
  if (field(62, 2) != 1 || field(49, 3) != 0 || start % 1024 != 0)
    block.fail("wgmma: only 128-byte swizzled operands at a multiple of 1024 are emulated");
  for (int k = 0; k < 16; ++k) {
    std::uint32_t at = start + static_cast<std::uint32_t>(n / 64) * next_columns +
                       static_cast<std::uint32_t>(k / 8) * eight_rows +
                       static_cast<std::uint32_t>(k % 8 * 128 + n % 64 * 2);
    at ^= at >> 3 & 0x70;
    if (at + 2 > block.shared_bytes()) block.fail("wgmma: operand B lies beyond shared memory");
    b[k] = static_cast<float>(*reinterpret_cast<const bf16*>(block.shared() + at));
  }
}
inline void complete(Multiplication& m) {
  Accumulator& to = *m.to;
  if (std::memcmp(m.a, m.a_then.data(), sizeof(m.a_then)) != 0)
    emulation::current_block().fail("a register of operand A was changed before wait_for_batches");
  const int t = static_cast<int>(emulation::lane() % 4);
  for (int j = 0; j < to.count / 4; ++j)
    for (int i = 0; i < 2; ++i) {
      float b[16];
      m.transposed ? load_column_transposed(b, m.b, 8 * j + 2 * t + i) : load_column(b, m.b, 8 * j + 2 * t + i);
      for (int half = 0; half < 2; ++half) {
        float& d = to.sums[static_cast<std::size_t>(4 * j + 2 * half + i)];
        for (int k = 0; k < 16; ++k) d += m.rows[static_cast<std::size_t>(16 * half + k)] * b[k];
      }
    }
  if (--to.batches > 0) return;
  for (int i = 0; i < to.count; ++i) {
    if (__float_as_uint(to.registers[i]) != not_ready)
      emulation::current_block().fail("a register that wgmma adds to was changed before wait_for_batches");
    to.registers[i] = to.sums[static_cast<std::size_t>(i)];
  }
}

template <int Count>
void multiply_add_async(float (&d)[Count], const std::uint32_t (&a)[4], std::uint64_t b, bool transposed = false) {
  Batches& mine = batches();
  if (!mine.begun) emulation::current_block().fail("multiply_add_async without begin_batch");
  const auto lanes = emulation::show_to_warpgroup(emulation::Meeting::wgmma,
                                                  std::array<std::uint32_t, 4>{a[0], a[1], a[2], a[3]}, Count);
  const unsigned thread = emulation::current_thread->number % emulation::warpgroup_size;
  Multiplication m{nullptr, a, {a[0], a[1], a[2], a[3]}, {}, b, transposed};
  for (unsigned t = 0; t < 4; ++t) {
    const auto from = lanes[thread / 4 * 4 + t];
    for (unsigned i = 0; i < 4; ++i) {  // a[i]: row g + 8 (i % 2), k = 2t + 8 (i / 2) and the next
      m.rows[16 * (i % 2) + 2 * t + 8 * (i / 2)] = low(from[i]);
      m.rows[16 * (i % 2) + 2 * t + 8 * (i / 2) + 1] = high(from[i]);
    }
  }
  for (const auto& known : mine.accumulators)
    if (known->registers == d && known->batches > 0) m.to = known.get();
  if (!m.to) {
    std::erase_if(mine.accumulators, [](const auto& known) { return known->batches == 0; });
    mine.accumulators.push_back(std::make_unique<Accumulator>(Accumulator{d, Count, 0, {}}));
    m.to = mine.accumulators.back().get();
    for (int i = 0; i < Count; ++i) m.to->sums[static_cast<std::size_t>(i)] = d[i], d[i] = __uint_as_float(not_ready);
  }
  ++m.to->batches;
  mine.open.push_back(m);
}

}  // namespace emulated

inline void begin_batch() { emulated::batches().begun = true; }
inline void commit_batch() {
  emulated::Batches& mine = emulated::batches();
  mine.under_way.push_back(std::move(mine.open));
  mine.open.clear(), mine.begun = false;
}
/// What was asked for is done now, and not before: by shared memory as it is now.
template <int Pending>
inline void wait_for_batches() {
  emulated::Batches& mine = emulated::batches();
  while (mine.under_way.size() > static_cast<std::size_t>(Pending)) {
    for (emulated::Multiplication& m : mine.under_way.front()) emulated::complete(m);
    mine.under_way.erase(mine.under_way.begin());
  }
  emulation::Group& g = emulation::current_block().warp();
  emulation::ordered(g, [&] { return emulation::current_block().meet(g, emulation::Meeting::wgmma, Pending); });
}

inline void multiply_add_async(float (&d)[32], const std::uint32_t (&a)[4], std::uint64_t b) {
  emulated::multiply_add_async(d, a, b);
}
inline void multiply_add_async(float (&d)[64], const std::uint32_t (&a)[4], std::uint64_t b) {
  emulated::multiply_add_async(d, a, b);
}

inline void multiply_add_transposed_async(float (&d)[64], const std::uint32_t (&a)[4], std::uint64_t b) {
  emulated::multiply_add_async(d, a, b, true);
}
/// Ordinary writes are seen by everything after a barrier here.
inline void publish_writes() {}

}  // namespace tess::cuda
