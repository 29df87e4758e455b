// Prefill and decode of a golden folder: logits and caches against float64, rows alone, prompts in chunks.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <doctest/doctest.h>

#include <algorithm>

#include "support/grok1_model.hpp"
#include "support/grok1_truth.hpp"

namespace tess::test {

/// Rows [0, counts[b]) of x [B, T, ...], one after another; `line` numbers a token.
inline Values real_rows(const Values& x, std::span<const index_t> counts, std::size_t line) {
  const std::size_t tokens = x.size() / counts.size() / line;
  Values all;
  for (std::size_t b = 0; b < counts.size(); ++b) {
    const auto from = x.begin() + static_cast<std::ptrdiff_t>(b * tokens * line);
    all.insert(all.end(), from, from + counts[b] * static_cast<std::ptrdiff_t>(line));
  }
  return all;
}

/// A prompt, then tokens that are given one by one: what a generation computes, teacher-forced.
template <class D, class C, index_t Data, index_t... Model>
struct GenerationOn {
  static constexpr index_t layers = C::value.model.num_layers;
  static constexpr std::size_t line = C::value.model.num_kv_heads * C::value.model.key_size;

  LoadedOn<D, C, Data, Model...>& grok;
  std::vector<index_t> lengths;  // of the rows so far
  typename LoadedOn<D, C, Data, Model...>::Memory memory;

  GenerationOn(LoadedOn<D, C, Data, Model...>& loaded, index_t batch)
      : grok(loaded),
        lengths(static_cast<std::size_t>(batch)),
        memory(loaded.model.init_memory(loaded.dev, batch, C::value.sequence_len)) {}

  /// ids [B, T], of which counts[b] are real -> logits [B, V] of each row's last token.
  Values feed(std::span<const i32> ids, const std::vector<index_t>& counts) {
    const Values logits = grok(ids, memory, segments(counts, lengths));
    for (std::size_t b = 0; b < lengths.size(); ++b) lengths[b] += counts[b];
    return logits;
  }
  Values step(std::span<const i32> ids) { return feed(ids, std::vector<index_t>(lengths.size(), 1)); }

  Values keys(index_t layer) const {
    return real_rows(grok.read(memory.layers[static_cast<std::size_t>(layer)].keys), lengths, line);
  }
  Values values(index_t layer) const {
    return real_rows(grok.read(memory.layers[static_cast<std::size_t>(layer)].values), lengths, line);
  }
  bool same_cache(const GenerationOn& other) const {
    for (index_t l = 0; l < layers; ++l)
      if (keys(l) != other.keys(l) || values(l) != other.values(l)) return false;
    return true;
  }
};
template <class C, index_t Data, index_t... Model>
using Generation = GenerationOn<Host, C, Data, Model...>;

/// Column t of ids [B, T].
inline std::vector<i32> column(const std::vector<i32>& ids, index_t batch, std::size_t t) {
  std::vector<i32> c;
  for (std::size_t b = 0; b < static_cast<std::size_t>(batch); ++b)
    c.push_back(ids[b * (ids.size() / static_cast<std::size_t>(batch)) + t]);
  return c;
}

/// Prefill, eight decode steps and the caches after each are as near to the truth as the reference's. Its cache and ours are bf16.
template <class C, index_t Data, index_t Model, class D = Host>
void check_generation(const std::string& folder) {
  const Golden golden(folder);
  const std::vector<i32> ids = golden.ints("decode/tokens");  // [B, steps]
  const std::size_t steps = ids.size() / static_cast<std::size_t>(golden.batch);
  constexpr auto V = static_cast<std::size_t>(C::value.vocab_size);

  const Truth truth(grok_folder(folder), C::value);
  std::vector<Stages> rows;
  Values prefill_truth, decode_truth;
  for (std::size_t b = 0; b < golden.lengths.size(); ++b) {
    const auto prompt = golden.tokens.begin() + static_cast<std::ptrdiff_t>(b) * golden.length;
    std::vector<i32> all(prompt, prompt + golden.lengths[b]);
    all.insert(all.end(), ids.begin() + static_cast<std::ptrdiff_t>(b * steps),
               ids.begin() + static_cast<std::ptrdiff_t>((b + 1) * steps));
    rows.push_back(truth(all));
    const Values& logits = rows.back().at("logits");
    const auto first = logits.begin() + (golden.lengths[b] - 1) * C::value.vocab_size;
    prefill_truth.insert(prefill_truth.end(), first, first + C::value.vocab_size);
    decode_truth.insert(decode_truth.end(), first + C::value.vocab_size, logits.end());
  }

  ErrorTable table(folder + ", mesh " + std::to_string(Data) + "x" + std::to_string(Model) + ", prefill and decode");
  LoadedOn<D, C, Data, Model> grok(grok_folder(folder));
  GenerationOn<D, C, Data, Model> run(grok, golden.batch);
  const auto compare = [&](const std::string& what, const Values& ours, const Values& reference, const Values& exact) {
    CHECK_MESSAGE(table.add(what, relative_error(ours, exact), relative_error(reference, exact)) <= 1.05, what);
  };
  const auto caches = [&](const std::string& when) {
    for (const index_t l : {index_t{0}, run.layers - 1}) {
      const std::string attention = "transformer/decoder_layer_" + std::to_string(l) + "/multi_head_attention/";
      const auto exact = [&](const std::string& stage) {
        Values all;
        for (std::size_t b = 0; b < rows.size(); ++b) {
          const Values& v = rows[b].at(attention + stage);
          all.insert(all.end(), v.begin(), v.begin() + run.lengths[b] * static_cast<std::ptrdiff_t>(run.line));
        }
        return all;
      };
      const auto reference = [&](const char* what) {
        return real_rows(golden[when + what + std::to_string(l)], run.lengths, run.line);
      };
      compare(when + "/k/" + std::to_string(l), run.keys(l), reference("/k/"), exact("rotary_embedding/key"));
      compare(when + "/v/" + std::to_string(l), run.values(l), reference("/v/"), exact("value"));
    }
  };

  compare("prefill/logits", run.feed(golden.tokens, golden.lengths), golden["prefill/logits"], prefill_truth);
  caches("prefill");
  Values decoded(decode_truth.size());
  for (std::size_t t = 0; t < steps; ++t) {
    const Values logits = run.step(column(ids, golden.batch, t));
    for (std::size_t b = 0; b < rows.size(); ++b)
      std::copy_n(logits.begin() + static_cast<std::ptrdiff_t>(b * V), V,
                  decoded.begin() + static_cast<std::ptrdiff_t>((b * steps + t) * V));
  }
  compare("decode/logits", decoded, golden["decode/logits"], decode_truth);
  caches("decode");
}

/// A row of a batch, at its own step and padded, gives bit for bit what it gives alone.
template <class C, index_t Model, class D = Host>
void check_rows_alone(const std::string& folder) {
  const Golden golden(folder);
  LoadedOn<D, C, 1, Model> grok(grok_folder(folder));
  const std::vector<i32> ids = golden.ints("decode/tokens");
  const std::size_t steps = ids.size() / static_cast<std::size_t>(golden.batch);

  GenerationOn<D, C, 1, Model> together(grok, golden.batch);
  std::vector<Values> logits{together.feed(golden.tokens, golden.lengths)};
  for (std::size_t t = 0; t < steps; ++t) logits.push_back(together.step(column(ids, golden.batch, t)));

  for (std::size_t b = 0; b < together.lengths.size(); ++b) {
    GenerationOn<D, C, 1, Model> alone(grok, 1);
    const auto row = [&](const Values& all) {
      const auto n = static_cast<std::ptrdiff_t>(all.size() / together.lengths.size()),
                 at = static_cast<std::ptrdiff_t>(b) * n;
      return Values(all.begin() + at, all.begin() + at + n);
    };
    const std::span prompt(golden.tokens.data() + static_cast<std::ptrdiff_t>(b) * golden.length,
                           static_cast<std::size_t>(golden.lengths[b]));
    CHECK(alone.feed(prompt, {golden.lengths[b]}) == row(logits[0]));
    for (std::size_t t = 0; t < steps; ++t)
      CHECK(alone.step(std::span(ids).subspan(b * steps + t, 1)) == row(logits[t + 1]));
  }
}

/// A prompt in chunks, or token by token, leaves bit for bit the logits and caches of the prompt at once.
template <class C, index_t Model, class D = Host>
void check_chunks(const std::string& folder) {
  const Golden golden(folder);
  LoadedOn<D, C, 1, Model> grok(grok_folder(folder));
  const std::span prompt(golden.tokens.data(), static_cast<std::size_t>(golden.length));
  GenerationOn<D, C, 1, Model> at_once(grok, 1);
  const Values logits = at_once.feed(prompt, {golden.length});
  for (const std::size_t size : {std::size_t{7}, std::size_t{1}}) {
    GenerationOn<D, C, 1, Model> chunks(grok, 1);
    Values last;
    for (std::size_t at = 0; at < prompt.size(); at += size) {
      const auto chunk = prompt.subspan(at, std::min(size, prompt.size() - at));
      last = chunks.feed(chunk, {static_cast<index_t>(chunk.size())});
    }
    CHECK(last == logits);
    CHECK(chunks.same_cache(at_once));
  }
}

}  // namespace tess::test
