// Communicator: what connects ranks that have a GPU each, in one process or in many.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstdint>
#include <span>
#include <type_traits>
#include <vector>

#include "../../sharding/spec_value.hpp"
#include "../../tensor/dtype.hpp"

namespace tess::cuda {

/// The types of which a communicator makes sums.
enum class ElementType : unsigned char { i8, u8, i32, u32, i64, u64, bf16, f32, f64, other };
template <class T>
constexpr ElementType element_of() {
  if constexpr (std::is_same_v<T, tess::f32>) return ElementType::f32;
  else if constexpr (std::is_same_v<T, tess::f64>) return ElementType::f64;
  else if constexpr (std::is_same_v<T, tess::bf16>) return ElementType::bf16;
  else if constexpr (!std::is_integral_v<T> || std::is_same_v<T, bool> || sizeof(T) == 2) return ElementType::other;
  else if constexpr (sizeof(T) == 1) return std::is_signed_v<T> ? ElementType::i8 : ElementType::u8;
  else if constexpr (sizeof(T) == 4) return std::is_signed_v<T> ? ElementType::i32 : ElementType::u32;
  else return std::is_signed_v<T> ? ElementType::i64 : ElementType::u64;
}

/// The shards of a tensor before and after a collective, by rank; nullptr for those that live elsewhere.
struct Ends {
  std::vector<const std::byte*> from;
  std::vector<std::byte*> to;

  const std::byte* source(index_t r) const { return from[static_cast<std::size_t>(r)]; }
  std::byte* target(index_t r) const { return to[static_cast<std::size_t>(r)]; }
};

/// Bytes that lie together on both sides.
struct Message {
  index_t from = 0, to = 0;           // ranks
  const std::byte* source = nullptr;  // where `from` lives here
  std::byte* target = nullptr;        // where `to` does
  index_t bytes = 0;
};

/// Ranks in groups that do something among themselves: of every rank the number of its group's first one.
using Groups = std::vector<index_t>;

/// Every call is queued on the streams of the GPUs, and made by all processes in the same order.
class Communicator {
 public:
  Communicator() = default;
  Communicator(const Communicator&) = delete;
  Communicator& operator=(const Communicator&) = delete;
  virtual ~Communicator() = default;

  /// All messages between two ranks arrive in order. Processes name at least those in which they take part.
  virtual void send(std::span<const Message> messages) = 0;
  /// `bytes` of every member, in the order of the ranks.
  virtual void all_gather(const Groups& groups, const Ends& ends, index_t bytes) = 0;
  virtual void all_reduce(const Groups& groups, const Ends& ends, index_t elements, ElementType type,
                          Reduction kind) = 0;
  /// The i-th run of `elements` to the i-th member.
  virtual void reduce_scatter(const Groups& groups, const Ends& ends, index_t elements, ElementType type,
                              Reduction kind) = 0;
  /// Called while the host waits for a GPU: throws Error when a peer is gone, or has not answered for too long.
  virtual void check(double seconds_waited) = 0;
};

}  // namespace tess::cuda
