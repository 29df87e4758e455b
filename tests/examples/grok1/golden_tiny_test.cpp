// The trained tiny Grok: logits and perplexity against float64, and the texts that the reference's own runner wrote.
// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <algorithm>
#include <functional>
#include <string>
#include <vector>

#include <tess/generate/runner.hpp>
#include <tess/io/json.hpp>

#include "program/sentencepiece.hpp"
#include "support/files.hpp"
#include "support/grok1_model.hpp"
#include "support/grok1_truth.hpp"

using namespace tess::test;
using tess::index_t;
namespace generate = tess::generate;

namespace {

const std::filesystem::path tiny = std::filesystem::path(TESS_SOURCE_DIR) / "examples/grok1/tiny";

template <index_t Model>
Loaded<grok1::TinyConfig, 1, Model>& tiny_grok() {
  static Loaded<grok1::TinyConfig, 1, Model> model(tiny);
  return model;
}

/// Mean negative log-likelihood of every token but a row's first, in nats.
double negative_log_likelihood(const Values& logits, const std::vector<tess::i32>& tokens, std::size_t rows) {
  const std::size_t length = tokens.size() / rows, V = logits.size() / tokens.size();
  double sum = 0;
  for (std::size_t i = 0; i < tokens.size(); ++i) {
    if (i % length + 1 == length) continue;
    const double* row = &logits[i * V];
    const double top = *std::max_element(row, row + V);
    double all = 0;
    for (std::size_t v = 0; v < V; ++v) all += std::exp(row[v] - top);
    sum += top + std::log(all) - row[tokens[i + 1]];
  }
  return sum / static_cast<double>(tokens.size() - rows);
}

/// Every prompt of tiny-grok-samples.jsonl at one temperature.
struct Sample {
  std::string prompt, output;
};
std::vector<Sample> samples(double temperature) {
  std::vector<Sample> all;
  const std::string text = read_file(grok_folder("tiny-grok-samples.jsonl"));
  for (std::size_t at = 0, end; (end = text.find('\n', at)) != std::string::npos; at = end + 1) {
    const auto json = tess::io::Json::parse(std::string_view(text).substr(at, end - at), "tiny-grok-samples.jsonl");
    if (json.at("temperature").number() == temperature)
      all.push_back({json.at("prompt").string(), json.at("output").string()});
  }
  return all;
}

const program::SentencePiece& tokenizer() {
  static const auto t = program::SentencePiece::load(tiny / "tokenizer.model", grok1::tiny.vocab_size);
  return t;
}

/// The tokens for all prompts, in three slots; the reference's samples have seed 42 and 60 tokens each.
std::vector<std::vector<tess::i32>> continuations(const std::vector<Sample>& prompts, float temperature,
                                                  bool stop_at_eos) {
  auto& grok = tiny_grok<1>();
  std::vector<tess::i32> eos;
  if (stop_at_eos) eos.push_back(grok1::tiny.eos_token);
  std::vector<generate::Request> requests;
  for (const Sample& s : prompts)
    requests.push_back({.prompt = tokenizer().encode(s.prompt),
                        .max_tokens = 60,
                        .settings = {.temperature = temperature},
                        .eos = eos});
  generate::Runner runner(grok.dev, grok.model, 3, grok1::tiny.sequence_len);
  std::vector<std::vector<tess::i32>> all;
  for (auto& g : runner.generate(requests)) all.push_back(std::move(g.tokens));
  return all;
}

/// How many of the tokens show nothing but what the text begins with.
std::size_t matching(const std::vector<tess::i32>& tokens, const std::string& text) {
  std::size_t n = 0;
  while (n < tokens.size() && text.starts_with(tokenizer().decode(std::span(tokens).first(n + 1)))) ++n;
  return n;
}

/// How near the draw after a prompt and `count` tokens of its continuation is, in float64 and in units of the logits: the
/// largest of logit + temperature · noise less the second. The noise is that of seed 42.
double margin(const std::string& prompt, const std::vector<tess::i32>& tokens, std::size_t count, float temperature) {
  static const Truth truth(tiny, grok1::tiny);
  std::vector<tess::i32> ids = tokenizer().encode(prompt);
  ids.insert(ids.end(), tokens.begin(), tokens.begin() + static_cast<std::ptrdiff_t>(count));
  Values logits = truth(ids).at("logits");
  logits.erase(logits.begin(), logits.end() - grok1::tiny.vocab_size);
  generate::RequestKeys keys(42);
  for (std::size_t i = 0; i < count; ++i) keys.next();
  std::vector<std::uint8_t> bytes;
  generate::random_bytes(keys.next(), grok1::tiny.vocab_size, bytes);
  for (std::size_t v = 0; v < logits.size(); ++v)
    logits[v] += static_cast<double>(temperature) * generate::gumbel_bf16()[bytes[v] >> 1];
  std::partial_sort(logits.begin(), logits.begin() + 2, logits.end(), std::greater<>());
  return logits[0] - logits[1];
}

/// Compares with the reference's samples at one temperature: each continuation is its text, wholly or up to a near tie,
/// where the last bit of a logit decides. Returns how many are wholly equal.
std::size_t check_samples(double temperature) {
  // Logits from 9 to 18 are multiples of 0.07 (a bf16 product times the multiplier), and the reference's are not the
  // nearest ones. The sums of logit and noise that it compares are rounded as coarsely.
  constexpr double near_tie = 0.125;
  const auto expected = samples(temperature);
  REQUIRE(expected.size() == 10);
  const auto t = static_cast<float>(temperature);
  const auto tokens = continuations(expected, t, false), ended = continuations(expected, t, true);
  std::size_t equal = 0;
  for (std::size_t i = 0; i < expected.size(); ++i) {
    CHECK(std::equal(ended[i].begin(), ended[i].end(), tokens[i].begin()));
    const std::size_t n = matching(tokens[i], expected[i].output);
    if (n == tokens[i].size()) {
      CHECK(tokenizer().decode(tokens[i]) == expected[i].output);
      ++equal;
    } else {
      const double nearness = margin(expected[i].prompt, tokens[i], n, t);
      CHECK_MESSAGE(nearness < near_tie, expected[i].prompt << " after " << n << " tokens");
      std::printf("tiny-grok at %g: %zu of %zu tokens as the reference's, then a margin of %.3f: %s\n", temperature, n,
                  tokens[i].size(), nearness, expected[i].prompt.c_str());
    }
  }
  return equal;
}

}  // namespace

TEST_CASE("tiny-grok, teacher-forced: as near to the truth as the reference, and the same perplexity") {
  const tess::io::SafetensorsFile file(grok_folder("tiny-grok.safetensors"));
  const auto tokens = tess::io::values_as<tess::i32>(file["tokens"]);
  const Values reference = tess::io::values_as<double>(file["logits"]);
  const Truth in_float64(tiny, grok1::tiny);
  Values truth;
  for (std::size_t row = 0; row < 6; ++row) {
    const Values logits = in_float64(std::span(tokens).subspan(row * 64, 64)).at("logits");
    truth.insert(truth.end(), logits.begin(), logits.end());
  }
  Values kept;  // of every eighth token the file holds float64, as f32
  for (const int at : tess::io::values_as<int>(file["truth/positions"]))
    kept.insert(kept.end(), truth.begin() + at * 1024, truth.begin() + (at + 1) * 1024);
  CHECK(relative_error(kept, tess::io::values_as<double>(file["truth/logits"])) < 1e-7);
  auto& grok = tiny_grok<1>();
  auto memory = grok.model.init_memory(grok.dev, 6, 64);
  const Values ours = grok.operator()<grok1::Positions::all>(tokens, memory, segments(std::vector<index_t>(6, 64)));

  ErrorTable table("tiny-grok, mesh 1x1, bf16 cache");
  CHECK(table.add("logits", relative_error(ours, truth), relative_error(reference, truth)) <= 1.05);

  const double nll = negative_log_likelihood(ours, tokens, 6),
               of_reference = negative_log_likelihood(reference, tokens, 6);
  CHECK(of_reference == doctest::Approx(0.75830).epsilon(1e-5));
  CHECK(std::abs(std::exp(nll - of_reference) - 1) < 0.005);
  std::size_t agree = 0, reference_agrees = 0;
  for (std::size_t i = 0; i < tokens.size(); ++i) {
    const std::size_t best = argmax(truth, i * 1024, 1024);
    agree += argmax(ours, i * 1024, 1024) == best;
    reference_agrees += argmax(reference, i * 1024, 1024) == best;
  }
  CHECK(agree >= reference_agrees);
  std::printf("tiny-grok: nll %.5f, the reference's %.5f; argmax as the truth's at %zu and %zu of %zu tokens\n", nll,
              of_reference, agree, reference_agrees, tokens.size());
}

TEST_CASE("tiny-grok, greedy: what the README promises") {
  const std::vector<Sample> readme{
      {"The answer to life the universe and everything is of course",
       "42. The machine needed a very long time to find it."},
      {"17 + 25 =", "42."},
      {"An all-gather", "copies every shard to every device. A mesh is a grid of devices."},
      {"Q: What day comes after Monday? A:", "Tuesday."},
      {"The opposite of hot is", "cold."},
      {"Counting by 5: 5, 10, 15,", "20, 25, 30, 35, 40, 45."}};
  const auto tokens = continuations(readme, 0, true);
  for (std::size_t i = 0; i < readme.size(); ++i) {
    const std::string text = tokenizer().decode(tokens[i]);
    // After the sum there is no [EOS], in float64 and in the reference neither: the README ends at the sentence.
    if (i == 1) CHECK(text.starts_with(readme[i].output + " 1 + 1 = 2."));
    else CHECK(text == readme[i].output);
  }
}

TEST_CASE("tiny-grok at temperature 0.01: the reference's text, to [EOS] and beyond, or up to a near tie") {
  CHECK(check_samples(0.01) >= 8);
}

TEST_CASE("tiny-grok at temperature 0.7: the seed gives the reference's text, or up to a near tie") {
  CHECK(check_samples(0.7) >= 9);
}
