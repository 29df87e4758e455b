// The command line: defaults, every option, --help, and each wrong value as one error that names it.
// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "grok1/options.hpp"

using namespace grok1;

namespace {

Options parsed(std::vector<std::string> arguments) {
  std::vector<const char*> argv{"grok1"};
  for (const auto& a : arguments) argv.push_back(a.c_str());
  return parse(static_cast<int>(argv.size()), argv.data());
}

std::string error_of(std::vector<std::string> arguments) {
  try {
    (void)parsed(std::move(arguments));
  } catch (const tess::Error& e) {
    return e.what();
  }
  return "no error";
}

}  // namespace

TEST_CASE("options: without arguments, the defaults of the reference's run.py") {
  const auto o = parsed({});
  CHECK(o.command == Command::generate);
  CHECK(o.message.empty());
  CHECK(o.prompts.empty());
  CHECK(o.mesh == "1x1");
  CHECK(o.threads == 0);
  CHECK(o.max_tokens == 100);
  CHECK(o.temperature == 0);
  CHECK(o.nucleus_p == 1);
  CHECK(o.seed == 42);
  CHECK(o.stats == Stats::text);
  CHECK(o.dummy_weights == DummyWeights::none);
  CHECK(o.color);
  CHECK_FALSE(o.ignore_eos);
  CHECK_FALSE(o.top_probs);
  CHECK_FALSE(o.interactive);
}

TEST_CASE("options: every one of them") {
  const auto o =
      parsed({"--checkpoint", "c",   "--tokenizer",  "t",       "--config", "j",          "--mesh",        "2x4",
              "--threads",    "3",   "--max-tokens", "7",       "--seed",   "4294967295", "--temperature", "0",
              "--nucleus-p",  "0.5", "--top-probs",  "--stats", "json",     "--no-color", "--ignore-eos",  "one",
              "two"});
  CHECK(o.prompts == std::vector<std::string>{"one", "two"});
  CHECK(o.checkpoint == "c");
  CHECK(o.tokenizer == "t");
  CHECK(o.config == "j");
  CHECK(o.mesh == "2x4");
  CHECK(o.threads == 3);
  CHECK(o.max_tokens == 7);
  CHECK(o.seed == 4294967295u);
  CHECK(o.temperature == 0);
  CHECK(o.nucleus_p == 0.5);
  CHECK(o.top_probs);
  CHECK(o.stats == Stats::json);
  CHECK_FALSE(o.color);
  CHECK(o.ignore_eos);
  CHECK(parsed({"--dummy-weights", "medium"}).dummy_weights == DummyWeights::medium_size);
  CHECK(parsed({"--dummy-weights=full"}).dummy_weights == DummyWeights::full_size);
  CHECK(parsed({"--stats", "none"}).stats == Stats::none);
  CHECK(parsed({"--interactive"}).interactive);
  CHECK(parsed({"--prompt-file", "story.txt"}).prompt_file == "story.txt");
  CHECK(parsed({"-"}).prompts == std::vector<std::string>{"-"});
  for (const auto& mesh : meshes) CHECK(parsed({"--mesh", mesh}).mesh == mesh);
}

TEST_CASE("options: sub-commands, and prompts that look like them") {
  const auto inspect = parsed({"inspect", "--checkpoint", "c", "--mesh", "1x8"});
  CHECK(inspect.command == Command::inspect);
  CHECK(inspect.checkpoint == "c");
  CHECK(inspect.mesh == "1x8");
  CHECK(parsed({"plan", "--mesh", "2x8"}).command == Command::plan);
  const auto prompt = parsed({"--", "plan"});
  CHECK(prompt.command == Command::generate);
  CHECK(prompt.prompts == std::vector<std::string>{"plan"});
  CHECK(parsed({"--", "--not an option"}).prompts == std::vector<std::string>{"--not an option"});
}

TEST_CASE("options: a plan has a machine, a load, meshes to compare and a page") {
  const auto plain = parsed({"plan"}).plan;
  CHECK(plain.machine.empty());
  CHECK(plain.batch == 1);
  CHECK(!plain.best);
  CHECK(plain.html.empty());
  const auto one = parsed({"plan", "--mesh", "4x4", "--machine", "h200x16", "--batch", "32", "--prompt", "512",
                           "--context", "4096", "--html", "p.html", "--no-color"});
  CHECK(one.mesh == "4x4");
  CHECK(one.plan.machine == "h200x16");
  CHECK(one.plan.batch == 32);
  CHECK(one.plan.prompt == 512);
  CHECK(one.plan.context == 4096);
  CHECK(one.plan.html == "p.html");
  CHECK(!one.color);
  CHECK(parsed({"plan", "--machine", "cpu:36.5:940"}).plan.machine == "cpu:36.5:940");
  const auto best = parsed({"plan", "--best", "--devices", "16", "--phase", "decode"}).plan;
  CHECK(best.best);
  CHECK(best.devices == 16);
  CHECK(best.phase == "decode");
  for (const auto& m : plan_meshes) CHECK(parsed({"plan", "--mesh", m}).mesh == m);
  for (const auto& m : machines) CHECK(parsed({"plan", "--machine", m}).plan.machine == m);
  const auto help = parsed({"plan", "--help"}).message;
  for (const char* text :
       {"--mesh DxM=1x1", "--machine", "h100x8|h100x16|h200x8|h200x16|cpu", "--batch N=1", "--prompt N", "--context N",
        "--best", "--devices N=8", "--phase", "prefill|decode|both", "--html FILE", "--no-color", "read_the_bill.md"}) {
    CAPTURE(text);
    CHECK_MESSAGE(help.find(text) != std::string::npos, help);
  }
}

TEST_CASE("options: --help names every option with its default, and shows examples") {
  const auto help = parsed({"--help"}).message;
  for (const char* text : {"--prompt-file",
                           "--interactive",
                           "--checkpoint",
                           "--tokenizer",
                           "--config",
                           "--mesh",
                           "1x1|1x2|1x4|1x8|2x2|2x4|4x2|8x1",
                           "--threads",
                           "--dummy-weights",
                           "medium|full",
                           "--max-tokens N=100",
                           "--temperature T=0",
                           "--nucleus-p P=1",
                           "--seed N=42",
                           "--top-probs",
                           "--stats",
                           "text|json|none",
                           "--no-color",
                           "--ignore-eos",
                           "inspect",
                           "plan",
                           "Examples:",
                           "Exit codes: 0"}) {
    CAPTURE(text);
    CHECK(help.find(text) != std::string::npos);
  }
  CHECK(parsed({"inspect", "--help"}).message.find("Usage: grok1 inspect") != std::string::npos);
  CHECK(parsed({"plan", "--help"}).message.find("2x8") != std::string::npos);
  CHECK(parsed({"--version"}).message.find("grok1") == 0);
}

TEST_CASE("options: each wrong value is one error that names option and value") {
  struct Case {
    std::vector<std::string> arguments;
    const char* says;
  };
  const std::vector<Case> cases = {
      {{"--mesh", "3x3"}, "--mesh: \"3x3\" is unknown; choose one of: 1x1 1x2"},
      {{"--mesh", "4x4"}, "--mesh: \"4x4\" is unknown"},
      {{"--max-tokens", "0"}, "--max-tokens: \"0\" is not a number from 1"},
      {{"--max-tokens", "1.5"}, "--max-tokens: \"1.5\" is not a whole number"},
      {{"--max-tokens", "99999999999999999999"}, "--max-tokens"},
      {{"--temperature", "-1"}, "--temperature: \"-1\" is not a number from 0 to 100"},
      {{"--temperature", "nan"}, "--temperature: \"nan\""},
      {{"--temperature", "hot"}, "--temperature: \"hot\""},
      {{"--nucleus-p", "1.1"}, "--nucleus-p: \"1.1\" is not a number from 0 to 1"},
      {{"--seed", "-1"}, "--seed: \"-1\""},
      {{"--seed", "4294967296"}, "--seed: \"4294967296\""},
      {{"--threads", "-2"}, "--threads: \"-2\""},
      {{"--stats", "xml"}, "--stats: \"xml\" is unknown; choose one of: text json none"},
      {{"--dummy-weights", "small"}, "--dummy-weights: \"small\""},
      {{"--dummy-weights", "none"}, "--dummy-weights: \"none\""},
      {{"--checkpoint"}, "--checkpoint"},
      {{"--frobnicate"}, "--frobnicate"},
      {{"--dummy-weights", "full", "--checkpoint", "c"}, "exclude each other"},
      {{"hello", "--prompt-file", "f"}, "exclude each other"},
      {{"hello", "--interactive"}, "exclude each other"},
      {{"--prompt-file", "f", "--interactive"}, "exclude each other"},
      {{"hello", "inspect"}, "exclude each other"},
      {{"plan", "--checkpoint", "c"}, "--checkpoint"},
      {{"inspect", "--mesh", "9x9"}, "--mesh: \"9x9\""},
      {{"plan", "--machine", "abacus"}, "--machine: \"abacus\" is unknown; choose one of: h100x8"},
      {{"plan", "--machine", "cpu:fast:1"}, "--machine: \"cpu:fast:1\" is unknown"},
      {{"plan", "--machine", "cpu:0:1"}, "--machine: \"cpu:0:1\" is unknown"},
      {{"plan", "--best", "--devices", "3"}, "--devices: \"3\" is unknown; choose one of: 1 2 4 8 16"},
      {{"plan", "--devices", "8"}, "--best"},
      {{"plan", "--phase", "decode"}, "--best"},
      {{"plan", "--best", "--mesh", "1x8"}, "--mesh"},
      {{"plan", "--batch", "0"}, "--batch: \"0\""},
      {{"plan", "--best", "--phase", "training"}, "--phase: \"training\" is unknown"},
  };
  for (const auto& c : cases) {
    CAPTURE(c.says);
    const auto message = error_of(c.arguments);
    CHECK_MESSAGE(message.find(c.says) != std::string::npos, message);
    CHECK(message.starts_with("grok1: "));
    CHECK(message.ends_with("See grok1 --help"));
  }
}
