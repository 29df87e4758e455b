// The sampler against what the reference's own returned: as written bit for bit, as compiled token for token.
// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <limits>
#include <span>
#include <string>
#include <vector>

#include <tess/generate/sampler.hpp>
#include <tess/io/json.hpp>
#include <tess/io/safetensors.hpp>

namespace generate = tess::generate;
using tess::bf16;
using tess::generate::SampleArithmetic;
using tess::generate::Sampler;
using tess::generate::SampleSettings;

namespace {

std::vector<bf16> bf16_values(const tess::io::ArrayView& a) {
  std::vector<bf16> out;
  for (const float x : tess::io::values_as<float>(a)) out.push_back(bf16(x));  // exact
  return out;
}

std::vector<std::uint16_t> bits(std::span<const bf16> values) {
  std::vector<std::uint16_t> out;
  for (const auto x : values) out.push_back(x.bits);
  return out;
}

/// `sample/*` of one golden folder.
struct Golden {
  explicit Golden(const std::string& folder)
      : file(std::string(TESS_TEST_DATA) + "/grok/" + folder + "/golden.safetensors"),
        logits(tess::io::values_as<float>(file["sample/logits"])),
        filtered(bf16_values(file["sample/filtered"])),
        prob(bf16_values(file["sample/prob"])),
        top_probs(bf16_values(file["sample/top_probs"])),
        token(tess::io::values_as<int>(file["sample/token"])),
        top_ids(tess::io::values_as<int>(file["sample/top_ids"])) {
    const auto pairs = tess::io::values_as<float>(file["sample/settings"]);
    for (std::size_t i = 0; i + 1 < pairs.size(); i += 2)
      settings.push_back({pairs[i], pairs[i + 1], SampleArithmetic::as_written});
    seeds = token.size() / settings.size();
  }
  std::span<const bf16> filtered_row(std::size_t i) const {
    return std::span(filtered).subspan(i * logits.size(), logits.size());
  }

  tess::io::SafetensorsFile file;
  std::vector<float> logits;
  std::vector<bf16> filtered, prob, top_probs;
  std::vector<int> token, top_ids;
  std::vector<SampleSettings> settings;
  std::size_t seeds = 0;
};

std::vector<float> ramp(std::initializer_list<float> x) { return x; }

/// Numbers in [-1, 1) from a linear congruence: the same in the Python that made the expected values.
std::vector<float> congruence(std::size_t size, std::uint32_t seed) {
  std::vector<float> out(size);
  for (float& x : out) {
    seed = seed * 1664525u + 1013904223u;
    x = static_cast<float>(seed >> 8) / 8388608.0f - 1.0f;
  }
  return out;
}

}  // namespace

TEST_CASE("sampler: the goldens, bit for bit") {
  for (const std::string folder : {"moe12", "moe2", "dense", "dense_f32_2x4"}) {
    CAPTURE(folder);
    const Golden golden(folder);
    REQUIRE(golden.settings.size() == 6);
    REQUIRE(golden.seeds == 32);
    Sampler sampler;
    for (std::size_t i = 0; i < golden.settings.size(); ++i) {
      const auto& settings = golden.settings[i];
      CAPTURE(settings.temperature);
      CAPTURE(settings.nucleus_p);
      CHECK(bits(sampler.filter(golden.logits, settings)) == bits(golden.filtered_row(i)));
      for (std::size_t seed = 0; seed < golden.seeds; ++seed) {
        CAPTURE(seed);
        const auto out = sampler(golden.logits, settings, generate::RequestKeys(seed).next());
        CHECK(out.token_id == golden.token[i * golden.seeds + seed]);
        CHECK(out.prob.bits == golden.prob[i * golden.seeds + seed].bits);
        for (std::size_t k = 0; k < 8; ++k) {
          CAPTURE(k);
          CHECK(out.top_k_token_ids[k] == golden.top_ids[8 * i + k]);
          CHECK(out.top_k_probs[k].bits == golden.top_probs[8 * i + k].bits);
        }
      }
    }
  }
}

TEST_CASE("sampler: the goldens see each rounding") {
  const Golden golden("moe12");
  // A temperature that stays f32, or logits / temperature kept beyond bf16's precision, gives other filtered logits.
  for (const std::size_t i : {0u, 1u, 4u}) {
    const auto exact = golden.filtered_row(i);
    const float t = golden.settings[i].temperature;
    REQUIRE(bf16(t) != t);
    int wrong_temperature = 0, wrong_division = 0;
    for (std::size_t v = 0; v < golden.logits.size(); ++v) {
      if (exact[v] < -1e9f) continue;
      wrong_temperature += bf16(golden.logits[v] / t).bits != exact[v].bits;
      wrong_division += golden.logits[v] / bf16(t) != exact[v];
    }
    CHECK(wrong_temperature > 0);
    CHECK(wrong_division > 0);
  }
  // So does another key: the request's first key is the second half of the split, not the seed's own.
  Sampler sampler;
  int same = 0;
  for (std::size_t seed = 0; seed < golden.seeds; ++seed)
    same += sampler(golden.logits, golden.settings[1], generate::prng_key(seed)).token_id == golden.token[32 + seed];
  CHECK(same < 16);
}

TEST_CASE("sampler: temperature 0 takes the largest logit, ties to the lower id, whatever the key") {
  Sampler sampler;
  const auto logits = ramp({1, 3, 2, 3, -4});
  for (unsigned seed = 0; seed < 20; ++seed) {
    const auto out = sampler(logits, {.temperature = 0}, generate::prng_key(seed));
    CHECK(out.token_id == 1);
    CHECK(out.prob.bits == out.top_k_probs[0].bits);
  }
}

TEST_CASE("sampler: temperature 0 compares the logits as they are, also where they are equal in bfloat16") {
  Sampler sampler;
  const std::vector<float> logits = {1, 1.0009765625f, 1.001953125f, 1.0009765625f, 0};
  REQUIRE(bf16(logits[2]).bits == bf16(logits[0]).bits);
  CHECK(sampler(logits, {.temperature = 0}, generate::prng_key(0)).token_id == 2);
}

TEST_CASE("sampler: the report is sorted, ties to the lower id, and short vocabularies are filled up") {
  Sampler sampler;
  const auto out = sampler(ramp({1, 3, 2, 3, -4}), {}, generate::prng_key(1));
  CHECK(out.top_k_token_ids == std::array{1, 3, 2, 0, 4, -1, -1, -1});
  CHECK(out.top_k_probs[5] == 0.0f);
  // More than eight equal ones: the first eight.
  const std::vector<float> flat(100, 0.5f);
  CHECK(sampler(flat, {}, generate::prng_key(1)).top_k_token_ids == std::array{0, 1, 2, 3, 4, 5, 6, 7});
}

TEST_CASE("sampler: the nucleus keeps the fewest most probable tokens, and ties with the last of them") {
  Sampler sampler;
  const auto logits = ramp({0, 4, 3, 3, 1});
  const auto kept = [&](float p) {
    std::string s;
    for (const float x : sampler.filter(logits, {.temperature = 1, .nucleus_p = p})) s += x > -1e9f ? 'x' : '.';
    return s;
  };
  CHECK(kept(1) == "xxxxx");
  CHECK(kept(0.995f) == "xxxxx");
  CHECK(kept(0.9f) == ".xxx.");
  CHECK(kept(0.6f) == ".xxx.");  // 4 alone has 0.55
  CHECK(kept(0.4f) == ".x...");
  Sampler other;
  for (unsigned seed = 0; seed < 50; ++seed)
    CHECK(other(logits, {.temperature = 1, .nucleus_p = 0.4f}, generate::prng_key(seed)).token_id == 1);
}

TEST_CASE("sampler: corners of XLA's arithmetic, printed by JAX 0.4.25") {
  Sampler sampler;
  // Probabilities below the normal numbers are 0: softmax of {0, -88} and {0, 0, -87}.
  CHECK(sampler(ramp({0, -88}), {}, generate::prng_key(0)).top_k_probs[1].bits == 0);
  CHECK(sampler(ramp({0, 0, -87}), {}, generate::prng_key(0)).top_k_probs[2].bits == 0);
  // The last three terms of a cumulative sum are added with one rounding; with two, it would not reach 1 - p here, and
  // all six were kept.
  const auto filtered =
      sampler.filter(ramp({-0.5, 0, -0.75, -1.75, -1.5, -3}), {1, 0.00390625f, SampleArithmetic::as_written});
  CHECK(std::count_if(filtered.begin(), filtered.end(), [](bf16 x) { return x > -1e9f; }) == 1);
}

TEST_CASE("sampler: frequencies follow the probabilities, and a low temperature sharpens them") {
  Sampler sampler;
  const auto logits = ramp({0, 1, 2, -1});
  const auto frequency = [&](float temperature) {
    std::array<int, 4> count{};
    generate::RequestKeys keys(5);
    for (int i = 0; i < 4000; ++i)
      ++count[static_cast<std::size_t>(sampler(logits, {temperature}, keys.next()).token_id)];
    return count;
  };
  const auto one = frequency(1), cold = frequency(0.3f);
  const double total = std::exp(0.0) + std::exp(1.0) + std::exp(2.0) + std::exp(-1.0);
  for (std::size_t i = 0; i < 4; ++i)  // the noise has seven bits: close, not exact
    CHECK(std::abs(one[i] / 4000.0 - std::exp(double{logits[i]}) / total) < 0.03);
  CHECK(cold[2] > 3700);
}

TEST_CASE("sampler: a vocabulary of 131072 tokens, against what JAX 0.4.25 printed") {
  std::vector<float> logits = congruence(131072, 1);
  for (float& x : logits) x = bf16(x * 8);
  struct Printed {
    float temperature, nucleus_p;
    std::uint64_t seed;
    int token;
    std::uint16_t prob;
    long kept;
  };
  Sampler sampler;
  for (const auto& p : {Printed{0.7f, 1.0f, 42, 12195, 0x392c, 131072}, Printed{0.01f, 1.0f, 1, 10502, 0x3bf3, 131072},
                        Printed{1.0f, 0.9f, 7, 32723, 0x390e, 18833}, Printed{1.3f, 0.95f, 3, 81796, 0x38cd, 31967},
                        Printed{0.5f, 0.3f, 11, 64236, 0x3a2d, 1635}, Printed{1.0f, 0.0f, 2, 4697, 0x3bfc, 130},
                        Printed{2.0f, 0.999f, 4, 80799, 0x387c, 131072}}) {
    CAPTURE(p.temperature);
    CAPTURE(p.nucleus_p);
    const SampleSettings settings{p.temperature, p.nucleus_p, SampleArithmetic::as_written};
    const auto out = sampler(logits, settings, generate::RequestKeys(p.seed).next());
    CHECK(out.token_id == p.token);
    CHECK(out.prob.bits == p.prob);
    const auto filtered = sampler.filter(logits, settings);
    CHECK(std::count_if(filtered.begin(), filtered.end(), [](bf16 x) { return x > -1e9f; }) == p.kept);
  }
}

TEST_CASE("sampler, as compiled: the tokens of the jitted reference") {
  // tests/data/grok/make_sampler_compiled.py: bf16 numbers times the output multiplier, random seeds one after another.
  const std::string path = std::string(TESS_TEST_DATA) + "/grok/sampler_compiled.json";
  Sampler sampler;
  int tokens = 0, different = 0, different_nucleus = 0, written = 0, rounded = 0, whole_vocabulary = 0;
  for (const auto& c : tess::io::Json::read_file(path).array()) {
    const auto number = [&](const char* key) { return c.at(key).number(); };
    const SampleSettings settings{static_cast<float>(number("temperature")), static_cast<float>(number("nucleus_p"))};
    auto seed = static_cast<std::uint64_t>(number("first_seed"));
    const auto& expected = c.at("tokens").array();
    for (std::size_t i = 0; i < expected.size(); ++i, ++seed) {
      auto logits = congruence(static_cast<std::size_t>(number("vocab")), static_cast<std::uint32_t>(i + 1));
      for (float& x : logits) x = bf16(static_cast<float>(number("scale")) * x * x * x) * bf16(0.57735026f);
      const int token = static_cast<int>(expected[i].number());
      const auto draw = [&](SampleSettings s) {
        return sampler(logits, s, generate::RequestKeys(seed).next()).token_id;
      };
      ++tokens;
      (settings.nucleus_p == 1 ? different : different_nucleus) += draw(settings) != token;
      // What must not be: every operation rounded, the filter left out, logits rounded before the division.
      written += draw({settings.temperature, settings.nucleus_p, SampleArithmetic::as_written}) != token;
      whole_vocabulary += draw({settings.temperature, 1}) != token;
      for (float& x : logits) x = bf16(x);
      rounded += draw(settings) != token;
    }
  }
  CHECK(tokens == 2544);
  CHECK(different == 0);
  CHECK(different_nucleus <= 3);  // of 1696: XLA's cumulative sum over eight devices may reach 1 - p a token earlier
  CHECK(written > 50);
  CHECK(rounded > 10);
  CHECK(whole_vocabulary > 5);  // few: noise of seven bits hardly ever draws an improbable token
}

TEST_CASE("sampler: with the whole nucleus the filter does nothing") {
  const std::vector<float> logits = congruence(1000, 3);
  Sampler sampler;
  for (const auto arithmetic : {SampleArithmetic::as_written, SampleArithmetic::as_compiled}) {
    const auto filtered = sampler.filter(logits, {1, 1, arithmetic});
    for (std::size_t i = 0; i < logits.size(); ++i) CHECK(filtered[i].bits == bf16(logits[i]).bits);
  }
}

TEST_CASE("sampler: what cannot be sampled is an error") {
  Sampler sampler;
  const auto key = generate::prng_key(0);
  const auto good = ramp({1, 2, 3});
  const auto says = [&](const std::vector<float>& logits, SampleSettings settings, const char* text) {
    CHECK_THROWS_WITH_AS(sampler(logits, settings, key), doctest::Contains(text), tess::Error);
  };
  constexpr float nan = std::numeric_limits<float>::quiet_NaN(), inf = std::numeric_limits<float>::infinity();
  says({}, {}, "no logits");
  says(ramp({1, nan, 3}), {}, "the logit of token 1 is not finite");
  says(ramp({1, 2, inf}), {}, "the logit of token 2 is not finite");
  says(good, {.temperature = -1}, "temperature");
  says(good, {.temperature = nan}, "temperature");
  says(good, {.temperature = 1e-39f}, "too small");
  says(good, {.temperature = 1, .nucleus_p = 1.5f}, "nucleus_p");
  says(good, {.temperature = 1, .nucleus_p = nan}, "nucleus_p");
}
