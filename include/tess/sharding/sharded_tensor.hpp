// ShardedTensor: an array whose element type, shape, mesh, sharding and device are its type.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "../tensor/dtype.hpp"
#include "shard_shape.hpp"

namespace tess {

struct Dry;  // the device that stores nothing (device/dry.hpp): the default, for reasoning about types

/// A handle: copies share the elements, operations make new tensors. On device D it owns the shards of the ranks that
/// live in this process. The parameter that tells tensors apart, the spec, stands as late as it can, so that compilers
/// print it.
template <class T, AnyShape S, AnyMesh M, AnySpec Spec, class D = Dry>
class ShardedTensor {
  static_assert(detail::sharding_fact<S, Spec, M>::ok);

 public:
  using value_type = T;
  using shape = S;
  using mesh = M;
  using spec = normal_form<Spec, M, S::rank>;
  using device = D;
  using local_shape = shard_shape<S, Spec, M>;
  using storage_type = typename D::template storage<T>;
  static constexpr int rank = S::rank;
  static constexpr SpecValue sharding = spec_value<Spec, M, S::rank>;

  constexpr ShardedTensor() = default;
  /// Throws Error when a run-time extent does not divide over its axes.
  constexpr ShardedTensor(const Extents<S>& extents, const storage_type& storage)
      : extents_(extents), local_(tess::local_extents<Spec, M>(extents)), storage_(storage) {}

  /// The same type spelled otherwise: `P<data>` and `P<data, None>`.
  template <AnySpec Other>
  requires(!std::is_same_v<Spec, Other> &&
           std::is_same_v<normal_form<Other, M, S::rank>,
                          spec>) constexpr ShardedTensor(const ShardedTensor<T, S, M, Other, D>& x)
      : ShardedTensor(x.extents(), x.storage()) {}

  constexpr const Extents<S>& extents() const { return extents_; }                // of the whole
  constexpr const Extents<local_shape>& local_extents() const { return local_; }  // of one shard
  constexpr index_t extent(int d) const { return extents_[d]; }
  constexpr index_t local_extent(int d) const { return local_[d]; }
  constexpr const storage_type& storage() const { return storage_; }
  constexpr storage_type& storage() { return storage_; }

 private:
  Extents<S> extents_{};
  Extents<local_shape> local_ = tess::local_extents<Spec, M>(Extents<S>{});
  storage_type storage_{};
};

namespace detail {
template <class>
inline constexpr bool is_sharded_tensor = false;
template <class T, class S, class M, class P, class D>
inline constexpr bool is_sharded_tensor<ShardedTensor<T, S, M, P, D>> = true;
}  // namespace detail
template <class X>
concept AnyTensor = detail::is_sharded_tensor<std::remove_cv_t<X>>;

/// X with another spec, element type, or shape and spec.
template <AnyTensor X, AnySpec Spec>
using with_spec = ShardedTensor<typename X::value_type, typename X::shape, typename X::mesh, Spec, typename X::device>;
template <AnyTensor X, class T>
using with_type = ShardedTensor<T, typename X::shape, typename X::mesh, typename X::spec, typename X::device>;
template <AnyTensor X, AnyShape S, AnySpec Spec>
using with_shape = ShardedTensor<typename X::value_type, S, typename X::mesh, Spec, typename X::device>;

namespace detail {
template <class X>
struct reduced_spec {
  static constexpr SpecValue value = [] {
    SpecValue s = X::sharding;
    s.partial = 0;
    return s;
  }();
};
}  // namespace detail
/// X with its pending sums finished.
template <AnyTensor X>
using reduced_type = with_spec<X, spec_type<typename X::mesh, detail::reduced_spec<X>>>;

/// Bytes of a shard with the given extents. Grouped int8 counts its scales (those of G groups along the last dimension
/// but one).
template <class T, AnyShape L>
constexpr index_t bytes_of(const Extents<L>& e) {
  using E = unpacked_t<T>;
  if constexpr (is_q8<E>) {
    static_assert(L::rank >= 2, "[dtype] int8 with grouped scales is for weights [..., K, N]");
    const index_t groups = E::groups == dyn ? 1 : E::groups;
    return e.size() + (e[L::rank - 2] ? e.size() / e[L::rank - 2] * groups * static_cast<index_t>(sizeof(bf16)) : 0);
  } else {
    return e.size() * static_cast<index_t>(sizeof(E));
  }
}

/// A tensor with fresh storage on `dev`; its elements are not set. Throws Error when a run-time extent does not divide.
template <AnyTensor X, class D>
constexpr X make(D& dev, const Extents<typename X::shape>& extents) {
  const auto local = local_extents<typename X::spec, typename X::mesh>(extents);
  return X(extents, dev.template allocate<typename X::value_type, typename X::mesh>(local));
}

/// A tensor that outlives steps of a model, such as a cache: elements are zero, and it does not count among the
/// activations.
template <AnyTensor X, class D>
constexpr X make_state(D& dev, const Extents<typename X::shape>& extents) {
  const auto local = local_extents<typename X::spec, typename X::mesh>(extents);
  return X(extents, dev.template allocate_state<typename X::value_type, typename X::mesh>(local));
}

}  // namespace tess
