// Each operation of one of eight ranks of Grok-1, as a share of what this GPU can do.
// SPDX-License-Identifier: Apache-2.0
#include <tess/nn/activations.hpp>
#include <tess/nn/router.hpp>
#include <tess/ops/attention.hpp>
#include <tess/ops/gated.hpp>
#include <tess/ops/rms_norm.hpp>
#include <tess/ops/take.hpp>

#include "operations.hpp"
#include "random.hpp"

namespace bench {

namespace {

using One = Mesh<>;
template <class T, index_t... N>
using Tensor = ShardedTensor<T, Shape<N...>, One, P<>, Cuda>;

// One of eight ranks: 8 experts, of whose hidden width it has an eighth, 6 query heads and 1 key head.
constexpr index_t width = 6144, hidden = 4096, experts = 8, selected = 2, heads = 6, head_width = 128,
                  vocabulary = 131072 / 8;

using Tokens = Tensor<f32, dyn, dyn, width>;
template <class E>
using Into = Tensor<packed<E>, experts, width, hidden>;
template <class E>
using OutOf = Tensor<packed<E>, experts, hidden, width>;

/// The hidden layer: gelu(gate) · up.
struct GeluTimes {
  constexpr f32 operator()(f32 gate, f32 up) const { return nn::GeluTanh{}(gate)*up; }
};

class Bench {
 public:
  Bench(Cuda& device, const Ceilings& of_machine) : dev(device), ceilings(of_machine) {}

  Cuda& dev;
  Ceilings ceilings;
  std::vector<Row> rows{};

  cuda::Gpu& gpu() { return dev.gpu(0); }
  template <class X>
  X random(const std::array<index_t, static_cast<std::size_t>(X::rank)>& extents) {
    return random_tensor<X>(dev, Extents<typename X::shape>::from(extents), ++seed);
  }
  /// `bytes` are read or written in `time` seconds.
  void memory(const std::string& name, double bytes, double time, double must, double stretch) {
    rows.push_back({name, time, bytes / time / ceilings.bytes_per_second, must, stretch});
  }
  void arithmetic(const std::string& name, double flop, double time, double must, double stretch) {
    rows.push_back({name, time, flop / time / ceilings.flops, must, stretch});
  }
  void latency(const std::string& name, double time, double must, double stretch) {
    rows.push_back({name, time, 0, must * 1e-6, stretch * 1e-6});
  }
  template <class Op>
  double time(index_t sets, Op op) {
    return seconds_a_replay(dev, NoRows{}, sets, 100, op);
  }

  /// Rows grouped by expert: token t has the choices first + t·k … in turn.
  auto grouped(index_t tokens, index_t first) {
    const auto x = random<Tokens>({tokens, 1, width});
    using Ids = Tensor<i32, dyn, dyn, dyn>;
    using Shares = Tensor<f32, dyn, dyn, dyn>;
    Routes<Ids, Shares> routes{make<Ids>(dev, Extents<typename Ids::shape>::from({tokens, 1, selected})),
                               make<Shares>(dev, Extents<typename Shares::shape>::from({tokens, 1, selected}))};
    std::vector<i32> ids;
    for (index_t i = 0; i < tokens * selected; ++i) ids.push_back(static_cast<i32>((first + i) % experts));
    const std::vector<f32> shares(ids.size(), 0.5f);
    gpu().upload(routes.experts.storage().data(0), ids.data(), static_cast<index_t>(ids.size() * sizeof(i32)));
    gpu().upload(routes.weights.storage().data(0), shares.data(), static_cast<index_t>(shares.size() * sizeof(f32)));
    return std::pair(dispatch(dev, x, routes, experts), routes);
  }

  template <class E>
  void decode_experts() {
    const double bytes = std::is_same_v<E, q8<1>> ? 1 : 2;
    const auto gate = random<Into<E>>({experts, width, hidden}), up = random<Into<E>>({experts, width, hidden});
    const auto down = random<OutOf<E>>({experts, hidden, width});
    std::vector<decltype(grouped(1, 0))> one;  // four pairs of experts: 400 MB
    for (index_t s = 0; s < experts / selected; ++s) one.push_back(grouped(1, s * selected));
    const double of_one = width * hidden * bytes;
    const auto hidden_of = [&](const auto& g) { return gated(dev, g.first, gate, up, GeluTimes{}); };
    memory("expert gate and up, 2 experts, 1 token", 2 * selected * of_one,
           time(4, [&](index_t s) { return hidden_of(one[static_cast<std::size_t>(s)]); }), 0.85, 0.93);
    std::vector<decltype(hidden_of(one[0]))> in;
    for (const auto& g : one) in.push_back(hidden_of(g));
    memory("expert down and combine, 2 experts, 1 token", selected * of_one,
           time(4,
                [&](index_t s) {
                  const auto i = static_cast<std::size_t>(s);
                  return matmul_combine(dev, in[i], down, one[i].second);
                }),
           0.80, 0.90);
    const auto eight = grouped(8, 0);
    memory("expert gate and up, 8 experts, 2 rows each", 2 * experts * of_one,
           time(1, [&](index_t) { return hidden_of(eight); }), 0.85, 0.92);
    const auto many = grouped(64, 0);
    memory("experts, 16 rows each (64 tokens)", 3 * experts * of_one,
           time(1, [&](index_t) { return matmul_combine(dev, hidden_of(many), down, many.second); }), 0.80, 0.90);
  }

  template <class E>
  void prefill_experts(const std::string& weights, double must, double stretch, double must_long, double stretch_long) {
    const auto gate = random<Into<E>>({experts, width, hidden}), up = random<Into<E>>({experts, width, hidden});
    const auto down = random<OutOf<E>>({experts, hidden, width});
    dev.terms = cuda::Terms::one;  // as the reference, and cuBLAS beside us, round activations
    for (const index_t tokens : {index_t{1024}, index_t{8192}}) {
      const auto g = grouped(tokens, 0);
      const double flop = 2.0 * 3 * static_cast<double>(tokens * selected * width * hidden);
      arithmetic("grouped prefill, " + weights + " weights, " + std::to_string(tokens * selected / experts) +
                     " rows an expert",
                 flop, seconds(gpu(), 10, [&] { (void)matmul(dev, gated(dev, g.first, gate, up, GeluTimes{}), down); }),
                 tokens == 1024 ? must : must_long, tokens == 1024 ? stretch : stretch_long);
    }
    dev.terms = cuda::Terms::two;
  }

  void projections() {
    using Qkv = Tensor<packed<q8<1>>, width, (heads + 2) * head_width>;
    using Out = Tensor<packed<q8<1>>, heads * head_width, width>;
    constexpr std::size_t sets = 48;  // 300 MB
    std::vector<Qkv> into;
    std::vector<Out> out;
    for (std::size_t i = 0; i < sets; ++i) {
      into.push_back(random<Qkv>({width, (heads + 2) * head_width}));
      out.push_back(random<Out>({heads * head_width, width}));
    }
    const auto x = random<Tokens>({1, 1, width});
    const auto attended = random<Tensor<f32, dyn, dyn, heads * head_width>>({1, 1, heads * head_width});
    latency("query, key and value, 1 token (6.3 MB)",
            time(sets, [&](index_t s) { return matmul(dev, x, into[static_cast<std::size_t>(s)]); }), 4.5, 3);
    latency("attention's output, 1 token (4.7 MB)",
            time(sets, [&](index_t s) { return matmul(dev, attended, out[static_cast<std::size_t>(s)]); }), 4, 2.6);
  }

  void decode_attention(index_t batch) {
    using Q = Tensor<f32, dyn, dyn, heads, head_width>;
    using Cache = Tensor<bf16, dyn, dyn, 1, head_width>;
    constexpr index_t context = 8192;
    const index_t sets = batch == 1 ? 64 : 1;
    const auto q = random<Q>({batch, 1, heads, head_width});
    const auto keys = random<Cache>({batch * sets, context, 1, head_width}),
               values = random<Cache>({batch * sets, context, 1, head_width});
    std::vector<std::vector<Segment>> segments;
    for (index_t s = 0; s < sets; ++s) {
      auto& of_set = segments.emplace_back();
      for (index_t b = 0; b < batch; ++b) of_set.push_back({s * batch + b, context - 1, 1});
    }
    const AttentionOptions options{.scale = 0.088f, .cap = 30};
    const Segments all(segments[0].data(), batch);
    // A recorded step has one set of rows; for other sets the caches are shifted instead.
    const auto part = [&](const Cache& cache, index_t s) {
      const index_t elements = batch * context * head_width;
      std::shared_ptr<void> at(cache.storage().shards()[0],
                               static_cast<bf16*>(cache.storage().shards()[0].get()) + s * elements);
      return Cache(Extents<typename Cache::shape>::from({batch, context, 1, head_width}), cuda::Storage<bf16>({at}));
    };
    const double t = seconds_a_replay(dev, all, sets, 100, [&](index_t s) {
      return attention<f32>(dev, q, part(keys, s), part(values, s), all, options);
    });
    const std::string name = "decode attention, 6 query heads, context 8192, batch " + std::to_string(batch);
    if (batch == 1) latency(name, t, 6, 4);
    else memory(name, 2.0 * 2 * static_cast<double>(batch * context * head_width), t, 0.80, 0.90);
  }

  void prefill_attention() {
    using Q = Tensor<f32, dyn, dyn, heads, head_width>;
    using Cache = Tensor<bf16, dyn, dyn, 1, head_width>;
    constexpr index_t tokens = 8192;
    const auto q = random<Q>({1, tokens, heads, head_width});
    const auto keys = random<Cache>({1, tokens, 1, head_width}), values = random<Cache>({1, tokens, 1, head_width});
    const Segment row[] = {{0, 0, tokens}};
    const double flop = 4.0 * heads * head_width * tokens * (tokens + 1) / 2;
    constexpr double peak = 989e12;  // the goal is a share of the datasheet's rate
    dev.terms = cuda::Terms::one;    // as the reference rounds queries and weights
    const double t =
        seconds(gpu(), 10, [&] { (void)attention<f32>(dev, q, keys, values, row, {.scale = 0.088f, .cap = 30}); });
    rows.push_back({"causal prefill attention, 8192 tokens (of 989 TFLOP/s)", t, flop / t / peak, 0.50, 0.70});
    dev.terms = cuda::Terms::two;
  }

  void norms() {
    const auto x = random<Tokens>({1, 8192, width});
    const auto scale = random<Tensor<f32, width>>({width});
    memory("rms_norm, 8192 tokens", 2.0 * 4 * 8192 * width,
           time(2, [&](index_t) { return rms_norm<f32>(dev, x, scale, 1e-5f); }), 0.85, 0.92);
    const auto h = random<Tokens>({1, 8192, width});
    const auto next = random<Tensor<f32, width>>({width});
    memory("residual plus rms_norm, and the norm of that, 8192 tokens", 4.0 * 4 * 8192 * width,
           time(2, [&](index_t) { return add_rms_norms<f32>(dev, h, x, scale, next, 1e-5f, 1e-5f); }), 0.85, 0.92);
  }

  void router(index_t tokens) {
    const auto x = random<Tokens>({1, tokens, width});
    const auto w = random<Tensor<packed<f32>, width, experts>>({width, experts});
    const nn::SoftmaxTopK<> choose;
    const double t = time(tokens == 1 ? 64 : 2, [&](index_t) {
      const auto routes = route(dev, matmul(dev, x, w), selected, choose);
      return dispatch(dev, x, routes, experts).offsets;
    });
    if (tokens == 1) latency("router, softmax, top 2, dispatch, 1 token", t, 4, 4);
    else latency("router, softmax, top 2, dispatch, 8192 tokens", t, 60, 60);
  }

  /// A draw ends on the host, which needs the token: the way there is part of the time.
  void sampler(index_t batch) {
    const auto logits = random<Tensor<f32, dyn, dyn, dyn>>({batch, 1, 8 * vocabulary});
    std::vector<generate::SampleOrder> orders;
    for (index_t b = 0; b < batch; ++b)
      orders.push_back({.row = b, .settings = {.temperature = 0.7f, .nucleus_p = 0.9f}, .key = {}});
    latency("top-p sample of 131072 tokens and its way to the host, batch " + std::to_string(batch),
            seconds(gpu(), 100, [&] { (void)dev.sample(logits, orders); }), batch == 1 ? 20 : 60, batch == 1 ? 10 : 30);
  }

  void head() {
    using Table = Tensor<table<bf16>, vocabulary, width>;
    const auto x = random<Tokens>({1, 1, width});
    const Table t = random<Table>({vocabulary, width}), u = random<Table>({vocabulary, width});
    memory("head, an eighth of 131072 tokens", 2.0 * vocabulary * width,
           time(2, [&](index_t s) { return matmul_rows(dev, x, s ? t : u); }), 0.88, 0.94);
  }

 private:
  unsigned long long seed = 0;
};

}  // namespace

std::vector<Row> measure_operations(Cuda& dev, const Ceilings& ceilings) {
  Bench b(dev, ceilings);
  b.decode_experts<q8<1>>();
  b.projections();
  b.prefill_experts<bf16>("bf16", 0.70, 0.85, 0.85, 0.93);
  b.prefill_experts<q8<1>>("int8", 0.70, 0.85, 0.80, 0.90);
  b.decode_attention(64);
  b.decode_attention(1);
  b.prefill_attention();
  b.norms();
  b.router(1);
  b.router(8192);
  b.head();
  b.sampler(1);
  b.sampler(64);
  return b.rows;
}

}  // namespace bench
