// Block: what one device holds inside shard_map, typed by its local shape and by the axes along which it varies.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "../../device/dry.hpp"
#include "../../sharding/varying.hpp"

namespace tess {

/// The insides of shard_map (ops/shard_map*.hpp).
namespace blocks {
using namespace detail;
struct Inside;  // how operations reach the elements of a block; nobody else does
}  // namespace blocks

template <class Varying>
struct block_is_no_condition {
  static_assert(
      detail::always_false<Varying>,
      "[shard_map] the program is one for all devices, and cannot branch on what each of them holds: use cond, "
      "where or while_loop");
  static constexpr bool ok = true;
};

/// The block of every device of mesh M, L its shape. A handle, made by shard_map. Its elements cannot be read in the body
/// of a shard_map but through operations, so plain C++ cannot branch on what varies: `cond` and `while_loop` do.
template <class T, AnyShape L, AnyMesh M, class V, class D = Dry>
class Block {
 public:
  using value_type = T;
  using shape = L;
  using mesh = M;
  using varying = V;
  using device = D;
  static constexpr int rank = L::rank;
  static constexpr VaryingValue state = varying_value<V, M>;

  constexpr const Extents<L>& extents() const { return local_.extents(); }
  constexpr index_t extent(int d) const { return local_.extent(d); }
  template <class Bool>
  requires(std::is_same_v<Bool, bool>) constexpr explicit operator Bool() const {
    (void)sizeof(block_is_no_condition<V>);
    return false;
  }

 private:
  friend struct blocks::Inside;
  using local_type = ShardedTensor<T, L, M, P<>, D>;  // to a kernel a block is a whole array
  constexpr Block(D* dev, const local_type& local) : device_(dev), local_(local) {}
  D* device_;
  local_type local_;
};

/// What an operation on blocks gives when its rule is broken. Whatever follows passes it on, so that one mistake is one
/// error.
struct AnyRefusal {};
template <class Fact>
struct Refusal {
  // A member, so that argument-dependent lookup does not look into Fact, which would report it.
  struct type : AnyRefusal {
    using fact = Fact;
  };
};
template <class Fact>
using Refused = typename Refusal<Fact>::type;

/// The device of questions: on it a broken rule is a type, `Refused<Fact>`, and not an error.
/// `shard_map_fact<In, Out, F, X...>` asks.
struct Judge : Dry {};

namespace blocks {
template <class>
inline constexpr bool is_block = false;
template <class T, class L, class M, class V, class D>
inline constexpr bool is_block<Block<T, L, M, V, D>> = true;
template <class X>
inline constexpr bool is_refused = std::is_base_of_v<AnyRefusal, X>;
}  // namespace blocks

template <class B>
concept AnyBlock = blocks::is_block<std::remove_cvref_t<B>> || blocks::is_refused<std::remove_cvref_t<B>>;

namespace blocks {

/// Axes as names.
template <class M, unsigned Mask>
struct mask_holder {
  static constexpr DimAxes axes = axes_of_mask(Mask);
};
template <class M, unsigned Mask>
using over_axes = wrap_names<over, M, mask_holder<M, Mask>>;

/// The fact of the first refused operand, or `nothing_wrong`.
template <class... X>
struct first_refusal {
  using type = nothing_wrong;
};
template <class X, class... Rest>
struct first_refusal<X, Rest...> : first_refusal<Rest...> {};
template <class X, class... Rest>
requires(is_refused<X>) struct first_refusal<X, Rest...> {
  using type = typename X::fact;
};
template <class... X>
inline constexpr bool any_refused = (is_refused<X> || ... || false);

template <class X>
constexpr bool on_judge() {
  if constexpr (requires { typename X::device; }) return std::is_same_v<typename X::device, Judge>;
  else return false;
}
/// What is to be said of a fact: nothing where it has been said, and where Judge only asks. It is said by asking for its
/// size, `(void)sizeof(reported<Fact, X...>)`. (After a static_assert there clang would not know the result's type, and
/// say more.)
template <class Fact, class... X>
using reported = std::conditional_t<(any_refused<X...> || (on_judge<X>() || ...)), nothing_wrong, Fact>;

template <class Fact>
inline constexpr bool holds = std::is_same_v<Fact, nothing_wrong>;

/// A state as a holder for `varying_type`.
template <unsigned V, unsigned Partial, unsigned Reduced, unsigned Diverging>
struct state_of {
  static constexpr VaryingValue value{V, Partial, Reduced, Diverging, Reduction::sum};
};
template <class M, class Holder>
using state_type = varying_type<
    M, state_of<Holder::value.varying, Holder::value.partial, Holder::value.reduced, Holder::value.diverging>>;

struct Inside {
  template <class B>
  static constexpr auto& device(const B& b) {
    return *b.device_;
  }
  template <class B>
  static constexpr const auto& local(const B& b) {
    return b.local_;
  }
  /// A block in the given state over the elements of a tensor that is whole on every device.
  template <class V, class T, class L, class M, class S, class D>
  static constexpr auto block(D& dev, const ShardedTensor<T, L, M, S, D>& local) {
    return Block<T, L, M, V, D>(&dev, typename Block<T, L, M, V, D>::local_type(local.extents(), local.storage()));
  }
  /// The same elements in another state.
  template <class V, class T, class L, class M, class Old, class D>
  static constexpr auto restate(const Block<T, L, M, Old, D>& b) {
    return Block<T, L, M, V, D>(b.device_, b.local_);
  }
  /// The same elements under another shape of as many elements.
  template <class L, class T, class S, class M, class V, class D>
  static constexpr auto reshape(const Block<T, S, M, V, D>& b, const Extents<L>& extents) {
    return Block<T, L, M, V, D>(b.device_, ShardedTensor<T, L, M, P<>, D>(extents, b.local_.storage()));
  }
};

}  // namespace blocks
}  // namespace tess
