// A device that lacks a verb says which one, when an operation needs it.
// SPDX-License-Identifier: Apache-2.0
// expect: \[device\] this device lacks the verb that the operation needs
// expect-GNU: device_has_no<tess::verb<tess::verbs::take>, tess::device<app::Half> >
// expect-Clang: device_has_no<tess::verb<tess::verbs::take>, tess::device<app::Half>>
#include <tess/device/dry.hpp>
#include <tess/ops/take.hpp>

namespace app {
using namespace tess;
struct model;
using Grid = Mesh<Axis<model, 2>>;

struct Half {  // a device under construction: it stores nothing, and cannot look up rows yet
  template <class T>
  using storage = Dry::storage<T>;
  template <class T, class M, class L>
  constexpr storage<T> allocate(const Extents<L>&) {
    return {};
  }
};
#ifdef MUST_NOT_COMPILE
using Device = Half;
#else
using Device = Dry;
#endif

inline void look_up() {
  Device dev;
  ShardedTensor<table<bf16>, Shape<100, 8>, Grid, P<None, model>, Device> table;
  ShardedTensor<i32, Shape<4>, Grid, P<None>, Device> ids;
  (void)take(dev, table, ids);
}
}  // namespace app
