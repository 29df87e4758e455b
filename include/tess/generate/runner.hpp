// Runner: several prompts at once in the slots of one memory, prefilled without padding, decoded together.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <algorithm>
#include <atomic>
#include <chrono>
#include <deque>
#include <map>
#include <vector>

#include "../device/host.hpp"
#include "../device/threefry.hpp"
#include "../ops/attention.hpp"
#include "../ops/reshard.hpp"
#include "../sharding/device_slice.hpp"
#include "request.hpp"

namespace tess::generate {

/// Tokens as a model reads them: i32 [B, T], the same on every device.
template <AnyMesh M, class D = Host>
using Tokens = ShardedTensor<i32, Shape<dyn, dyn>, M, P<None, None>, D>;

/// What can be continued: `mesh`; `init_memory(dev, slots, capacity)`; `model(dev, tokens, memory, rows)` -> the logits
/// f32 [B, 1, V] of each row's last token, whole along V.
template <class LM, class D = Host>
concept LanguageModel = AnyMesh<typename LM::mesh> && requires(const LM& model, D& dev, index_t n) {
  model.init_memory(dev, n, n);
};

/// Continues requests with one model. Rows may lie over axes of the mesh: as many slots on each part of them. Every row
/// of a batch is bit for bit what it would be alone (Grok-1's reference is wrong there: its quantised Linear mixes
/// rows), unless experts have a capacity, and a seed gives the random numbers of that reference's runner.
/// Source: xai-org/grok-1 runners.py.
///
/// On a device D other than Host, in whose namespace are overwrite_rows and download_rows (cuda/upload.hpp): where it has
/// `replay`, a decode step is recorded once for each size of the batch; where it has `sample`, tokens are drawn there, else
/// logits come back.
/// All processes of a device that has several make the same calls, and get the same tokens: where a batch is sharded over
/// them its logits are gathered, 4 · V bytes a row and step, which the device counts beside what the model moves.
template <class LM, class D = Host>
requires LanguageModel<LM, D>
class Runner {
  using M = typename LM::mesh;
  using Memory = decltype(std::declval<const LM&>().init_memory(std::declval<D&>(), index_t{}, index_t{}));
  using Logits = decltype(std::declval<const LM&>()(std::declval<D&>(), std::declval<const Tokens<M, D>&>(),
                                                    std::declval<Memory&>(), std::declval<Segments>()));
  static constexpr bool on_host = std::is_base_of_v<Host, D>;
  static constexpr SpecValue spec = Logits::sharding;
  static_assert(spec.partial == 0 && tess::parts<M>(spec[2]) == 1,
                "[generate] logits must be whole along the vocabulary");
  static constexpr index_t parts = tess::parts<M>(spec[0]);  // of the slots, each on its own devices

 public:
  /// Tokens of a prompt that are computed together; longer prompts come in pieces, which changes no result.
  static constexpr index_t prefill_tokens = 512;

  /// `slots`: sequences in memory at once (rounded up to a multiple of the parts); `capacity`: tokens of each.
  Runner(D& dev, const LM& model, index_t slots, index_t capacity)
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
  /// A row of logits whose next token is wanted.
  struct Row {
    index_t b;
    Slot* slot;
  };

  static index_t next_number() {
    static std::atomic<index_t> last = 0;
    return ++last;
  }

  D& dev_;
  index_t number_ = next_number();  // tells its recorded steps from another runner's
  const LM& model_;
  index_t capacity_, per_part_;
  Memory memory_;
  std::map<index_t, Tokens<M, D>>
      decoded_;  // the tokens of a decode step, by the size of its batch: they stay in place
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
  static constexpr index_t first_device(const SpecValue& logits, index_t part) {
    index_t rank = 0;
    while (shard_index<M>(logits[0], rank) != part) ++rank;
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
      std::vector<Row> ended;
      for (index_t p = 0; p < parts; ++p) {
        const Segment& row = rows[static_cast<std::size_t>(p)];
        if (row.count == 0) continue;
        Slot& slot = slots_[static_cast<std::size_t>(row.slot)];
        slot.step += row.count;
        timing_.prompt_tokens += row.count;
        if (slot.step == static_cast<index_t>(requests_[slot.request].prompt.size())) {
          chosen[static_cast<std::size_t>(p)] = -1;
          ended.push_back({p, &slot});
        }
      }
      sample(logits, ended);
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
    std::vector<Row> all;
    for (std::size_t b = 0; b < rows.size(); ++b)
      if (rows[b].count) {
        Slot& slot = slots_[static_cast<std::size_t>(rows[b].slot)];
        ++slot.step;
        ++timing_.generated_tokens;
        all.push_back({static_cast<index_t>(b), &slot});
      }
    sample(logits, all);
    timing_.generation_seconds += seconds_since(start);
  }

  /// The model on rows of `width` tokens, token(b, t) each -> logits [B, 1, V].
  template <class Token>
  Logits run(const std::vector<Segment>& rows, index_t width, Token token) {
    const auto batch = static_cast<index_t>(rows.size());
    const Segments segments(rows.data(), batch);
    const Extents<Shape<dyn, dyn>> extents{batch, width};
    if constexpr (on_host) {
      auto tokens = make<Tokens<M>>(dev_, extents);
      for (index_t r = 0; r < M::size; ++r)
        for (index_t b = 0; b < batch; ++b)
          for (index_t t = 0; t < width; ++t) tokens.storage().data(r)[b * width + t] = token(b, t);
      return model_(dev_, tokens, memory_, segments);
    } else {
      std::vector<i32> ids;
      for (index_t b = 0; b < batch; ++b)
        for (index_t t = 0; t < width; ++t) ids.push_back(token(b, t));
      auto tokens = width == 1 ? decoded_[batch] : make<Tokens<M, D>>(dev_, extents);
      if (tokens.storage().empty()) tokens = decoded_[batch] = make_state<Tokens<M, D>>(dev_, extents);
      overwrite_rows(dev_, tokens.storage(), std::span<const i32>(ids));
      const auto step = [&] { return model_(dev_, tokens, memory_, segments); };
      const index_t key[] = {number_, batch, width};
      if constexpr (requires { dev_.replay(std::span<const index_t>(key), segments, step); })
        if (width == 1) return dev_.replay(std::span<const index_t>(key), segments, step);
      return step();
    }
  }

  /// The next tokens of rows, drawn where the logits are if the device can, and what follows from them.
  void sample(const Logits& logits, const std::vector<Row>& rows) {
    if (rows.empty()) return;
    if constexpr (parts > 1 && !on_host)
      if (dev_.places().processes > 1) return sample_here(reshard<P<None, None, None>>(dev_, logits), rows);
    sample_here(logits, rows);
  }
  /// The same of logits that are here.
  template <AnyTensor X>
  void sample_here(const X& logits, const std::vector<Row>& rows) {
    const index_t vocabulary = logits.extent(2), local = logits.local_extent(0);
    const auto settings = [&](const Row& r) { return requests_[r.slot->request].settings; };
    if constexpr (requires(std::span<const SampleOrder> orders) { dev_.sample(logits, orders); }) {
      std::vector<SampleOrder> orders;
      for (const Row& r : rows) orders.push_back({r.b, settings(r), r.slot->keys.next()});
      const std::vector<SampleOutput> out = dev_.sample(logits, std::span<const SampleOrder>(orders));
      for (std::size_t i = 0; i < rows.size(); ++i) take(*rows[i].slot, out[i]);
    } else {
      std::vector<f32> copied;  // the rows of one part
      for (const Row& r : rows) {
        const index_t part = r.b / local;
        const f32* at = nullptr;
        if constexpr (on_host) {
          at = logits.storage().data(first_device(X::sharding, part));
        } else {
          if (&r == &rows[0] || part != (&r - 1)->b / local) {
            copied.resize(static_cast<std::size_t>(local * vocabulary));
            index_t rank = 0;
            while (!dev_.places().is_here(rank) || shard_index<M>(X::sharding[0], rank) != part) ++rank;
            download_rows(dev_, logits.storage(), rank, local * vocabulary, copied.data());
          }
          at = copied.data();
        }
        const std::span<const f32> row(at + r.b % local * vocabulary, static_cast<std::size_t>(vocabulary));
        take(*r.slot, sampler_(row, settings(r), r.slot->keys.next()));
      }
    }
  }

  /// Gives a slot its next token and ends its request when it is time.
  void take(Slot& slot, const SampleOutput& out) {
    const Request& request = requests_[slot.request];
    Generated& result = results_[slot.request];
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
