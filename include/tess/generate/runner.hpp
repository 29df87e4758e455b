// Runner: several prompts at once in the slots of one memory, prefilled without padding, decoded together.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <algorithm>
#include <chrono>
#include <deque>
#include <vector>

#include "../device/host.hpp"
#include "../ops/attention.hpp"
#include "../sharding/device_slice.hpp"
#include "request.hpp"
#include "threefry.hpp"

namespace tess::generate {

/// Tokens as a model reads them: i32 [B, T], the same on every device.
template <AnyMesh M>
using Tokens = ShardedTensor<i32, Shape<dyn, dyn>, M, P<None, None>, Host>;

/// What can be continued: `mesh`; `init_memory(dev, slots, capacity)`; `model(dev, tokens, memory, rows)` -> the logits
/// f32 [B, 1, V] of each row's last token, whole along V.
template <class LM>
concept LanguageModel = AnyMesh<typename LM::mesh> && requires(const LM& model, Host& dev, index_t n) {
  model.init_memory(dev, n, n);
};

/// Continues requests with one model. Rows may lie over axes of the mesh: as many slots on each part of them. Every row
/// of a batch is bit for bit what it would be alone (Grok-1's reference is wrong there: its quantised Linear mixes
/// rows), unless experts have a capacity, and a seed gives the random numbers of that reference's runner.
/// Source: xai-org/grok-1 runners.py.
template <LanguageModel LM>
class Runner {
  using M = typename LM::mesh;
  using Memory = decltype(std::declval<const LM&>().init_memory(std::declval<Host&>(), index_t{}, index_t{}));
  using Logits = decltype(std::declval<const LM&>()(std::declval<Host&>(), std::declval<const Tokens<M>&>(),
                                                    std::declval<Memory&>(), std::declval<Segments>()));
  static constexpr SpecValue spec = Logits::sharding;
  static_assert(spec.partial == 0 && tess::parts<M>(spec[2]) == 1,
                "[generate] logits must be whole along the vocabulary");
  static constexpr index_t parts = tess::parts<M>(spec[0]);  // of the slots, each on its own devices

 public:
  /// Tokens of a prompt that are computed together; longer prompts come in pieces, which changes no result.
  static constexpr index_t prefill_tokens = 512;

  /// `slots`: sequences in memory at once (rounded up to a multiple of the parts); `capacity`: tokens of each.
  Runner(Host& dev, const LM& model, index_t slots, index_t capacity)
      : dev_(dev),
        model_(model),
        capacity_(capacity),
        per_part_((std::max<index_t>(slots, 1) + parts - 1) / parts),
        memory_(model.init_memory(dev, per_part_ * parts, capacity)),
        slots_(static_cast<std::size_t>(per_part_ * parts)) {}

  index_t slots() const { return per_part_ * parts; }
  const Timing& timing() const { return timing_; }

  /// Throws Error when a prompt is empty or leaves no room in the context.
  void check(std::span<const Request> requests) const {
    for (std::size_t i = 0; i < requests.size(); ++i) check(requests[i], i);
  }

  /// Continues all requests, as many at once as there are slots. Throws Error, before anything is computed, when a
  /// prompt is empty or leaves no room in the context.
  std::vector<Generated> generate(std::span<const Request> requests, const OnToken& on_token = {}) {
    check(requests);
    requests_ = requests;
    on_token_ = &on_token;
    results_.assign(requests.size(), {});
    std::deque<std::size_t> waiting;
    for (std::size_t i = 0; i < requests.size(); ++i) waiting.push_back(i);
    for (Slot& s : slots_) s = {};
    while (!waiting.empty() || busy()) {
      while (!waiting.empty() && prefill_memory(waiting)) {
      }
      if (busy()) sample_step();
    }
    return std::move(results_);
  }

 private:
  struct Slot {
    bool active = false;
    std::size_t request = 0;
    index_t step = 0;  // tokens in memory
    i32 next = 0;      // the last sampled token, not yet in memory
    RequestKeys keys{0};
  };

  Host& dev_;
  const LM& model_;
  index_t capacity_, per_part_;
  Memory memory_;
  std::vector<Slot> slots_;
  Sampler sampler_;
  Timing timing_;
  std::span<const Request> requests_;
  const OnToken* on_token_ = nullptr;
  std::vector<Generated> results_;

  void check(const Request& r, std::size_t number) const {
    const auto size = static_cast<index_t>(r.prompt.size());
    if (size == 0) fail("prompt ", static_cast<index_t>(number) + 1, " holds no token; give at least one word");
    if (size >= capacity_)
      fail("prompt ", static_cast<index_t>(number) + 1, " has ", size, " tokens, but the context holds ", capacity_,
           " with the continuation; shorten it");
    if (r.max_tokens < 1)
      fail("prompt ", static_cast<index_t>(number) + 1, ": max_tokens is ", r.max_tokens, "; ask for at least 1");
  }
  bool busy() const {
    return std::any_of(slots_.begin(), slots_.end(), [](const Slot& s) { return s.active; });
  }
  /// The first device that holds the rows of a part.
  static constexpr index_t first_device(index_t part) {
    index_t rank = 0;
    while (shard_index<M>(spec[0], rank) != part) ++rank;
    return rank;
  }
  static double seconds_since(std::chrono::steady_clock::time_point start) {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  }

  /// Puts waiting requests into free slots, one on each part of the mesh, and computes their prompts. False: no
  /// slot was free.
  bool prefill_memory(std::deque<std::size_t>& waiting) {
    std::vector<index_t> chosen(static_cast<std::size_t>(parts), -1);  // slot of each part
    bool any = false;
    for (index_t p = 0; p < parts && !waiting.empty(); ++p)
      for (index_t s = p * per_part_; s < (p + 1) * per_part_; ++s)
        if (Slot& slot = slots_[static_cast<std::size_t>(s)]; !slot.active) {
          slot = {.active = true,
                  .request = waiting.front(),
                  .step = 0,
                  .next = 0,
                  .keys = RequestKeys(requests_[waiting.front()].seed)};
          waiting.pop_front();
          chosen[static_cast<std::size_t>(p)] = s;
          any = true;
          break;
        }
    if (!any) return false;
    const auto start = std::chrono::steady_clock::now();
    for (bool more = true; more;) {
      more = false;
      std::vector<Segment> rows(static_cast<std::size_t>(parts));
      index_t widest = 0;
      for (index_t p = 0; p < parts; ++p) {
        const index_t s = chosen[static_cast<std::size_t>(p)];
        rows[static_cast<std::size_t>(p)].slot = p * per_part_;
        if (s < 0) continue;
        const Slot& slot = slots_[static_cast<std::size_t>(s)];
        const index_t left = static_cast<index_t>(requests_[slot.request].prompt.size()) - slot.step;
        const index_t count = std::min(left, prefill_tokens);
        rows[static_cast<std::size_t>(p)] = {s, slot.step, count};
        widest = std::max(widest, count);
        more = more || left > count;
      }
      const auto logits = run(rows, widest, [&](index_t p, index_t t) {
        const Segment& row = rows[static_cast<std::size_t>(p)];
        return t < row.count ? requests_[slots_[static_cast<std::size_t>(row.slot)].request]
                                   .prompt[static_cast<std::size_t>(row.start + t)]
                             : 0;
      });
      for (index_t p = 0; p < parts; ++p) {
        const Segment& row = rows[static_cast<std::size_t>(p)];
        if (row.count == 0) continue;
        Slot& slot = slots_[static_cast<std::size_t>(row.slot)];
        slot.step += row.count;
        timing_.prompt_tokens += row.count;
        if (slot.step == static_cast<index_t>(requests_[slot.request].prompt.size())) {
          chosen[static_cast<std::size_t>(p)] = -1;
          take(slot, logits, p);
        }
      }
    }
    timing_.prompt_seconds += seconds_since(start);
    return true;
  }

  /// One token for every active slot. Rows of the batch are the active slots only; parts with fewer are filled up with
  /// idle rows.
  void sample_step() {
    const auto start = std::chrono::steady_clock::now();
    std::vector<std::vector<index_t>> active(static_cast<std::size_t>(parts));
    std::size_t most = 0;
    for (index_t s = 0; s < slots(); ++s)
      if (slots_[static_cast<std::size_t>(s)].active) active[static_cast<std::size_t>(s / per_part_)].push_back(s);
    for (const auto& a : active) most = std::max(most, a.size());
    std::vector<Segment> rows;
    for (index_t p = 0; p < parts; ++p)
      for (std::size_t i = 0; i < most; ++i) {
        const auto& a = active[static_cast<std::size_t>(p)];
        if (i < a.size()) rows.push_back({a[i], slots_[static_cast<std::size_t>(a[i])].step, 1});
        else rows.push_back({p * per_part_, 0, 0});
      }
    const auto logits = run(rows, 1, [&](index_t b, index_t) {
      const Segment& row = rows[static_cast<std::size_t>(b)];
      return row.count ? slots_[static_cast<std::size_t>(row.slot)].next : 0;
    });
    for (std::size_t b = 0; b < rows.size(); ++b)
      if (rows[b].count) {
        Slot& slot = slots_[static_cast<std::size_t>(rows[b].slot)];
        ++slot.step;
        ++timing_.generated_tokens;
        take(slot, logits, static_cast<index_t>(b));
      }
    timing_.generation_seconds += seconds_since(start);
  }

  /// The model on rows of `width` tokens, token(b, t) each -> logits [B, 1, V].
  template <class Token>
  auto run(const std::vector<Segment>& rows, index_t width, Token token) {
    const auto batch = static_cast<index_t>(rows.size());
    auto tokens = make<Tokens<M>>(dev_, Extents<Shape<dyn, dyn>>{batch, width});
    for (index_t r = 0; r < M::size; ++r)
      for (index_t b = 0; b < batch; ++b)
        for (index_t t = 0; t < width; ++t) tokens.storage().data(r)[b * width + t] = token(b, t);
    return model_(dev_, tokens, memory_, Segments(rows.data(), batch));
  }

  /// Samples row b of the logits for a slot and ends its request when it is time.
  void take(Slot& slot, const Logits& logits, index_t b) {
    const index_t local = logits.local_extent(0), vocabulary = logits.local_extent(2);
    const index_t rank = first_device(b / local);
    const f32* row = logits.storage().data(rank) + b % local * vocabulary;
    const Request& request = requests_[slot.request];
    Generated& result = results_[slot.request];
    const SampleOutput out = sampler_({row, static_cast<std::size_t>(vocabulary)}, request.settings, slot.keys.next());
    const bool eos = std::find(request.eos.begin(), request.eos.end(), out.token_id) != request.eos.end();
    if (!eos) result.tokens.push_back(out.token_id);
    if (*on_token_) (*on_token_)(slot.request, out, !eos);
    slot.next = out.token_id;
    if (eos) result.finish = Finish::eos;
    else if (static_cast<index_t>(result.tokens.size()) >= request.max_tokens) result.finish = Finish::length;
    else if (slot.step >= capacity_) result.finish = Finish::context;
    else return;
    slot.active = false;
  }
};

}  // namespace tess::generate
