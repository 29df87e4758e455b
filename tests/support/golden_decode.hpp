// Prefill and decode steps of a golden folder: logits and caches against the reference's, rows alone, prompts in chunks.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <doctest/doctest.h>

#include <algorithm>

#include <tess/io/json.hpp>

#include "support/grok1_model.hpp"

namespace tess::test {

/// The reference's error against float64, as its config.json reports it: "logits_rel_error", "layer_0", …
inline f64 reference_error(const std::string& folder, std::string_view what) {
  return io::Json::read_file(grok_folder(folder) / "config.json").at("reference_error_against_float64").at(what).number();
}

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
template <class C, index_t Data, index_t Model>
struct Generation {
  static constexpr index_t layers = C::value.model.num_layers;
  static constexpr std::size_t line = C::value.model.num_kv_heads * C::value.model.key_size;

  Loaded<C, Data, Model>& grok;
  std::vector<index_t> lengths;  // of the rows so far
  typename Loaded<C, Data, Model>::Memory memory;

  Generation(Loaded<C, Data, Model>& loaded, index_t batch)
      : grok(loaded), lengths(static_cast<std::size_t>(batch)), memory(loaded.model.init_memory(loaded.dev, batch, C::value.sequence_len)) {}

  /// ids [B, T], of which counts[b] are real -> logits [B, V] of each row's last token.
  Values feed(std::span<const i32> ids, const std::vector<index_t>& counts) {
    const Values logits = grok(ids, memory, segments(counts, lengths));
    for (std::size_t b = 0; b < lengths.size(); ++b) lengths[b] += counts[b];
    return logits;
  }
  Values step(std::span<const i32> ids) { return feed(ids, std::vector<index_t>(lengths.size(), 1)); }

  Values keys(index_t layer) const { return real_rows(whole(memory.layers[static_cast<std::size_t>(layer)].keys), lengths, line); }
  Values values(index_t layer) const { return real_rows(whole(memory.layers[static_cast<std::size_t>(layer)].values), lengths, line); }
  bool same_cache(const Generation& other) const {
    for (index_t l = 0; l < layers; ++l)
      if (keys(l) != other.keys(l) || values(l) != other.values(l)) return false;
    return true;
  }
};

/// Column t of ids [B, T].
inline std::vector<i32> column(const std::vector<i32>& ids, index_t batch, std::size_t t) {
  std::vector<i32> c;
  for (std::size_t b = 0; b < static_cast<std::size_t>(batch); ++b) c.push_back(ids[b * (ids.size() / static_cast<std::size_t>(batch)) + t]);
  return c;
}

/// Both sides round, with errors of one size: their distance may be √2 times the reference's error, here `slack` times.
template <class C, index_t Data, index_t Model>
void check_against_reference(const std::string& folder, f64 slack) {
  const Golden golden(folder);
  Loaded<C, Data, Model> grok(grok_folder(folder));
  Generation<C, Data, Model> run(grok, golden.batch);
  const f64 bound = slack * reference_error(folder, "logits_rel_error");
  const auto caches = [&](const std::string& when) {
    for (const index_t l : {index_t{0}, run.layers - 1}) {
      const auto reference = [&](const char* what) {
        return real_rows(golden[when + what + std::to_string(l)], run.lengths, run.line);
      };
      const f64 k = relative_error(run.keys(l), reference("/k/")), v = relative_error(run.values(l), reference("/v/"));
      CHECK_MESSAGE(k <= bound, when << " k " << l);
      CHECK_MESSAGE(v <= bound, when << " v " << l);
      std::printf("%s %s layer %d: k %.2e v %.2e of %.2e\n", folder.c_str(), when.c_str(), static_cast<int>(l), k, v, bound);
    }
  };

  const f64 first = relative_error(run.feed(golden.tokens, golden.lengths), golden["prefill/logits"]);
  CHECK(first <= bound);
  std::printf("%s prefill: logits %.2e of %.2e\n", folder.c_str(), first, bound);
  caches("prefill");

  const std::vector<i32> ids = golden.ints("decode/tokens");
  const Values reference = golden["decode/logits"];  // [B, 8, V]
  constexpr auto vocabulary = static_cast<std::size_t>(C::value.vocab_size), steps = std::size_t{8};
  Values ours(reference.size());
  for (std::size_t t = 0; t < steps; ++t) {
    const Values logits = run.step(column(ids, golden.batch, t));
    for (std::size_t b = 0; b < run.lengths.size(); ++b)
      std::copy_n(logits.begin() + static_cast<std::ptrdiff_t>(b * vocabulary), vocabulary,
                  ours.begin() + static_cast<std::ptrdiff_t>((b * steps + t) * vocabulary));
  }
  const f64 decoded = relative_error(ours, reference);
  CHECK(decoded <= bound);
  std::printf("%s decode: logits %.2e of %.2e\n", folder.c_str(), decoded, bound);
  caches("decode");
}

/// A row of a batch, at its own step and padded, gives bit for bit what it gives alone.
template <class C, index_t Model>
void check_rows_alone(const std::string& folder) {
  const Golden golden(folder);
  Loaded<C, 1, Model> grok(grok_folder(folder));
  const std::vector<i32> ids = golden.ints("decode/tokens");
  const std::size_t steps = ids.size() / static_cast<std::size_t>(golden.batch);

  Generation<C, 1, Model> together(grok, golden.batch);
  std::vector<Values> logits{together.feed(golden.tokens, golden.lengths)};
  for (std::size_t t = 0; t < steps; ++t) logits.push_back(together.step(column(ids, golden.batch, t)));

  for (std::size_t b = 0; b < together.lengths.size(); ++b) {
    Generation<C, 1, Model> alone(grok, 1);
    const auto row = [&](const Values& all) {
      const auto n = static_cast<std::ptrdiff_t>(all.size() / together.lengths.size()), at = static_cast<std::ptrdiff_t>(b) * n;
      return Values(all.begin() + at, all.begin() + at + n);
    };
    const std::span prompt(golden.tokens.data() + static_cast<std::ptrdiff_t>(b) * golden.length, static_cast<std::size_t>(golden.lengths[b]));
    CHECK(alone.feed(prompt, {golden.lengths[b]}) == row(logits[0]));
    for (std::size_t t = 0; t < steps; ++t) CHECK(alone.step(std::span(ids).subspan(b * steps + t, 1)) == row(logits[t + 1]));
  }
}

/// A prompt in chunks, or token by token, leaves bit for bit the logits and caches of the prompt at once.
template <class C, index_t Model>
void check_chunks(const std::string& folder) {
  const Golden golden(folder);
  Loaded<C, 1, Model> grok(grok_folder(folder));
  const std::span prompt(golden.tokens.data(), static_cast<std::size_t>(golden.length));
  Generation<C, 1, Model> at_once(grok, 1);
  const Values logits = at_once.feed(prompt, {golden.length});
  for (const std::size_t size : {std::size_t{7}, std::size_t{1}}) {
    Generation<C, 1, Model> chunks(grok, 1);
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
