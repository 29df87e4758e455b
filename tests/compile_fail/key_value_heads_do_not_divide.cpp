// Key/value heads divide over the devices that hold them, or several devices hold the same: 8 heads on 16 devices
// SPDX-License-Identifier: Apache-2.0
// expect: give several devices the same heads
// expect: key_value_heads_do_not_divide<.*extent<8>, .*over<model>, .*into<16>, .*spec<.*P<.*None, .*None, .*Sub<model, 1, 8> *> *> *>
#include <tess/device/dry.hpp>
#include <tess/nn/multi_head_attention.hpp>

using namespace tess;
struct model;

template <class M, class KeyValue>
struct On {  // Grok-1's attention: 48 query heads and 8 key/value heads of 128
  template <class Spec, index_t In, index_t Out>
  using Linear = nn::Linear<ShardedTensor<packed<bf16>, Shape<In, Out>, M, Spec>>;
  using Query = Linear<P<None, model>, 6144, 6144>;
  using Key = Linear<P<None, KeyValue>, 6144, 1024>;
  using Layer = nn::MultiHeadAttention<nn::Heads<48, 8, 128>, Query, Key, Key, Linear<P<model>, 6144, 6144>>;
  using Cache = nn::KVCache<ShardedTensor<bf16, Shape<dyn, dyn, 8, 128>, M, P<None, None, KeyValue>>>;
  using X = ShardedTensor<f32, Shape<1, 32, 6144>, M, P<>>;
};
using Bad = On<Mesh<Axis<model, 16>>, model>;
using Good = On<Mesh<Axis<model, 8, 2>>, Sub<model, 1, 8>>;
struct NoCache {
  using value_type = bf16;
};

#ifdef MUST_NOT_COMPILE
auto attend(Dry& dev, const Bad::X& x, NoCache& cache, Segments rows) { return Bad::Layer{}(dev, x, cache, rows); }
#else
auto attend(Dry& dev, const Good::X& x, Good::Cache& cache, Segments rows) {
  return Good::Layer{}(dev, x, cache, rows);
}
#endif
