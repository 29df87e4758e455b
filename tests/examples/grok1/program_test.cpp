// The program from outside: sensible text, the same on every mesh, and one short error for every bad input.
// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>
#include <sys/wait.h>

#include <cstdlib>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "support/files.hpp"
#include "support/grok1_conversions.hpp"

namespace fs = std::filesystem;
using namespace tess::test;

namespace {

struct Outcome {
  int code = -1;
  std::string out, err;
};

std::string quoted(const std::string& s) { return "'" + s + "'"; }

Outcome run(const std::vector<std::string>& arguments, const std::string& input = "") {
  const TemporaryFolder folder;
  write_file(folder / "in", input);
  std::string command = quoted(GROK1_EXECUTABLE);
  for (const auto& a : arguments) command += " " + quoted(a);
  command += " <" + quoted(folder / "in") + " >" + quoted(folder / "out") + " 2>" + quoted(folder / "err");
  const int status = std::system(command.c_str());
  return {WIFEXITED(status) ? WEXITSTATUS(status) : -1, read_file(folder / "out"), read_file(folder / "err")};
}

const fs::path tiny = GROK1_DIRECTORY "/tiny";

/// A copy of the tiny model that a case may damage.
class TinyCopy {
 public:
  TinyCopy() { fs::copy(tiny, folder_ / "model", fs::copy_options::recursive); }
  fs::path path() const { return folder_ / "model"; }
  fs::path leaf(const std::string& number) const { return path() / "ckpt-0" / ("tensor" + number + "_000"); }
  void edit(const fs::path& file, const std::function<std::string(std::string)>& change) const {
    write_file(file, change(read_file(file)));
  }

 private:
  TemporaryFolder folder_;
};

struct BadModel {
  const char* name;
  std::function<void(const TinyCopy&)> damage;
  std::vector<std::string> expected;  // each stands in the message
};

std::size_t lines(const std::string& text) {
  std::size_t n = 0;
  for (const char c : text) n += c == '\n';
  return n;
}

}  // namespace

TEST_CASE("program.continues_the_default_prompt_and_closes_with_statistics") {
  const Outcome r = run({});
  CHECK(r.code == 0);
  CHECK(contains(r.out, "of course 42. The machine needed a very long time to find it."));
  for (const char* fact : {"load", "prompt", "generated", "tokens/s", "mesh 1x1", "thread", "resident"})
    CHECK(contains(r.err, fact));
  CHECK(lines(r.err) == 1);
}

TEST_CASE("program.says_the_same_on_every_mesh") {
  const std::string expected = run({"--stats", "none", "The opposite of hot is"}).out;
  CHECK(contains(expected, "The opposite of hot is cold."));
  for (const char* mesh : {"1x2", "1x4", "1x8", "2x2", "2x4", "4x2", "8x1"}) {
    CAPTURE(mesh);
    CHECK(run({"--stats", "none", "--mesh", mesh, "The opposite of hot is"}).out == expected);
  }
}

TEST_CASE("program.rows_of_a_batch_are_what_they_are_alone") {
  const std::vector<std::string> prompts = {"17 + 25 =", "An all-gather", "The opposite of hot is"};
  std::string alone;
  for (const auto& p : prompts) alone += run({"--stats", "none", "--max-tokens", "20", p}).out;
  for (const char* mesh : {"1x1", "2x2"}) {
    CAPTURE(mesh);
    CHECK(run({"--stats", "none", "--mesh", mesh, "--max-tokens", "20", prompts[0], prompts[1], prompts[2]}).out ==
          alone);
  }
}

TEST_CASE("program.prompts_come_from_arguments_files_and_standard_input") {
  const std::string expected = run({"--stats", "none", "The opposite of hot is"}).out;
  const TemporaryFolder folder;
  write_file(folder / "prompt", "The opposite of hot is\n");
  CHECK(run({"--stats", "none", "--prompt-file", folder / "prompt"}).out == expected);
  CHECK(run({"--stats", "none", "-"}, "The opposite of hot is\n").out == expected);
  CHECK(run({"--stats", "none", "--interactive"}, "The opposite of hot is\n").out == expected);
}

TEST_CASE("program.speaks_in_token_numbers_where_there_is_no_tokenizer") {
  const fs::path golden = TESS_TEST_DATA "/grok/moe12";
  const std::vector<std::string> arguments = {"--config",     golden / "config.json",
                                              "--checkpoint", golden / "ckpt-0",
                                              "--tokenizer",  "ids",
                                              "--stats",      "none",
                                              "--max-tokens", "5",
                                              "17 300 4"};
  const Outcome r = run(arguments);
  CHECK(r.code == 0);
  CHECK(r.out.rfind("17 300 4 ", 0) == 0);
  auto rows = arguments;
  rows.push_back("5");
  CHECK(run(rows).out.rfind(r.out, 0) == 0);
  auto word = arguments;
  word.back() = "17 512";
  CHECK(contains(run(word).err, "numbers from 0 to 511"));
}

TEST_CASE("program.reads_the_conversions_that_people_have") {
  const std::string text = run({"--stats", "none", "The opposite of hot is"}).out;
  for (const bool hpcai : {true, false}) {
    const TemporaryFolder folder;
    Conversion(tiny, grok1::tiny, hpcai).write_parts(folder.path());
    const std::vector<std::string> checkpoint = {"--checkpoint", folder.path(), "--tokenizer",
                                                 tiny / "tokenizer.model"};
    for (const char* mesh : {"1x1", "1x2"}) {
      auto arguments = checkpoint;
      arguments.insert(arguments.end(), {"--mesh", mesh, "--stats", "none", "The opposite of hot is"});
      const Outcome r = run(arguments);
      CHECK(r.code == 0);
      CHECK(r.out == text);
    }
    const Outcome inspect = run({"inspect", "--checkpoint", folder.path()});
    CHECK(inspect.code == 0);
    CHECK(lines(inspect.out) == 53);
    CHECK(contains(inspect.out, "model-00001-of-00002.safetensors"));
  }
}

TEST_CASE("program.a_seed_repeats_and_another_differs") {
  const std::vector<std::string> hot = {"--stats", "none", "--temperature", "1.0", "--seed", "7", "Once upon a time"};
  auto other = hot;
  other[5] = "8";
  CHECK(run(hot).out == run(hot).out);
  CHECK(run(hot).out != run(other).out);
}

TEST_CASE("program.reports_top_probabilities_json_help_inspect_and_plan") {
  const Outcome top = run({"--top-probs", "--stats", "json", "--max-tokens", "3", "17 + 25 ="});
  CHECK(top.code == 0);
  CHECK(lines(top.out) == 3);
  CHECK(contains(top.err, "\"generated_tokens\": 2"));  // the first token comes from the prompt
  const Outcome help = run({"--help"});
  CHECK(help.code == 0);
  for (const char* option : {"--checkpoint", "--tokenizer", "--config", "--mesh", "--threads", "--max-tokens",
                             "--temperature", "--nucleus-p", "--seed", "--top-probs", "--stats", "--interactive",
                             "--dummy-weights", "inspect", "plan", "Examples"})
    CHECK(contains(help.out, option));
  const Outcome inspect = run({"inspect", "--mesh", "2x4"});
  CHECK(inspect.code == 0);
  CHECK(lines(inspect.out) == 53);
  CHECK(contains(inspect.out, "P(None, (data, model))"));
  CHECK(contains(inspect.out, "tensor00049_000"));
  const Outcome plan = run({"plan", "--mesh", "1x8"});
  CHECK(plan.code == 0);
  CHECK(contains(plan.out, "315.7 billion parameters"));
  CHECK(contains(plan.out, "514 collectives"));
}

TEST_CASE("program.plans_meshes_of_two_hosts_and_explains_the_best") {
  const Outcome best = run({"plan", "--best", "--devices", "16", "--batch", "32"});
  CHECK(best.code == 0);
  CHECK(best.err.empty());
  for (const char* fact : {"1x16", "2x8", "4x4", "8x2", "16x1", "prefills fastest", "decodes fastest", "times as long",
                           "between hosts", "gathered", "stationary"})
    CHECK_MESSAGE(contains(best.out, fact), fact);
  const Outcome one = run({"plan", "--best", "--phase", "decode"});
  CHECK(contains(one.out, "decodes fastest"));
  CHECK(!contains(one.out, "prefills fastest"));
  CHECK(!contains(one.out, "\033"));  // no terminal, no colours
}

TEST_CASE("program.writes_the_plan_as_a_page_whole_or_not_at_all") {
  const TemporaryFolder folder;
  const fs::path page = folder / "plan.html";
  write_file(page, "old");
  CHECK(run({"plan", "--mesh", "2x4", "--html", page}).code == 0);
  CHECK(read_file(page).starts_with("<!doctype html>"));
  CHECK(read_file(page).ends_with("</html>\n"));
  std::size_t files = 0;
  for (const auto& entry : fs::directory_iterator(folder / ".")) files += entry.path().extension() == ".html";
  CHECK(files == 1);
  CHECK(!fs::exists(page.string() + ".part"));
  const Outcome bad = run({"plan", "--mesh", "2x4", "--html", folder / "missing" / "plan.html"});
  CHECK(bad.code == 2);
  CHECK(contains(bad.err, "cannot be written"));
  const Outcome taken = run({"plan", "--mesh", "2x4", "--html", folder / "."});  // a folder
  CHECK(taken.code == 2);
  CHECK(contains(taken.err, "cannot be written"));
}

TEST_CASE("program.refuses_bad_arguments_with_one_short_error") {
  const TemporaryFolder folder;
  write_file(folder / "no-utf8", "\xff\xfe");
  write_file(folder / "empty", "");
  std::string long_prompt;
  for (int i = 0; i < 600; ++i) long_prompt += "word ";
  const std::vector<std::pair<std::vector<std::string>, std::string>> rows = {
      {{"--mesh", "3x3", "hi"}, "3x3"},
      {{"--mesh", "2x8", "hi"}, "not built for the CPU; choose one of: 1x1"},
      {{"--max-tokens", "0", "hi"}, "--max-tokens"},
      {{"--temperature", "-1", "hi"}, "--temperature"},
      {{"--nucleus-p", "2", "hi"}, "--nucleus-p"},
      {{"--threads", "many", "hi"}, "--threads"},
      {{"--no-such-option", "hi"}, "--no-such-option"},
      {{"--prompt-file", folder / "no-utf8"}, "invalid UTF-8 at byte 0"},
      {{"--prompt-file", folder / "empty"}, "the prompt is empty"},
      {{"--prompt-file", folder / "missing"}, "cannot be read"},
      {{""}, "the prompt is empty"},
      {{long_prompt}, "but the context holds 512"},
      {{"plan", "--mesh", "2x8", "--machine", "h100x8"}, "16 devices are more than machine h100x8 has"},
      {{"plan", "--prompt", "9000"}, "a prompt of 9000 tokens does not fit into a context of 8192"},
      {{"--checkpoint", folder / "missing", "hi"}, "does not exist"},
      {{"--checkpoint", folder / "empty", "hi"}, "is not a directory"},
      {{"--config", folder / "missing", "hi"}, "missing"},
      {{"--config", folder / "empty", "hi"}, "empty"},
      {{"--tokenizer", folder / "missing", "hi"}, "no such tokenizer"},
      {{"--tokenizer", folder / "no-utf8", "hi"}, "is not a SentencePiece model"},
      {{"--dummy-weights", "full", "hi"}, "of memory for its parameters"},
      {{"--dummy-weights", "medium", "--mesh", "1x8", "hi"}, "4 key/value heads"}};
  for (const auto& row : rows) {  // clang 14 captures no structured binding
    const auto& arguments = row.first;
    const std::string& expected = row.second;
    CAPTURE(arguments[0]);
    CAPTURE(expected);
    const Outcome r = run(arguments);
    CHECK(r.code == 2);
    CHECK(r.out.empty());
    CHECK_MESSAGE(contains(r.err, expected), r.err);
    CHECK_MESSAGE((lines(r.err) >= 1 && lines(r.err) <= 3), r.err);
  }
}

TEST_CASE("program.says_in_one_sentence_that_there_is_no_gpu") {
  setenv("CUDA_VISIBLE_DEVICES", "", 1);  // also where there is one
  const Outcome r = run({"--device", "cuda"}), unknown = run({"--device", "cuda", "--mesh", "2x4"});
  unsetenv("CUDA_VISIBLE_DEVICES");
  CHECK(r.out == "");
  CHECK(unknown.code == 2);
  if (contains(r.err, "was built without CUDA")) {
    CHECK(r.code == 2);
    CHECK(contains(r.err, "-DTESS_CUDA=ON"));
  } else {
    CHECK(r.code == 3);
    CHECK(contains(r.err, "there is no CUDA device here"));
    CHECK(lines(r.err) == 1);
    CHECK(contains(unknown.err, "mesh \"2x4\" was not built for GPUs; choose one of: 1x1"));
  }
}

TEST_CASE("program.refuses_damaged_models_with_one_short_error") {
  const auto rows = std::to_array<BadModel>({
      {"truncated leaf",
       [](const TinyCopy& t) { fs::resize_file(t.leaf("00002"), 5000); },
       {"tensor00002_000", "moe/linear/w"}},
      {"empty leaf", [](const TinyCopy& t) { fs::resize_file(t.leaf("00003"), 0); }, {"tensor00003_000"}},
      {"a leaf that asks to run something",
       [](const TinyCopy& t) { write_file(t.leaf("00009"), "\x80\x04\x8c\x02os\x8c\x06system\x93."); },
       {"tensor00009_000", "os", "system", "not executed"}},
      {"no pickle at all", [](const TinyCopy& t) { write_file(t.leaf("00009"), "hello"); }, {"tensor00009_000"}},
      {"missing leaf", [](const TinyCopy& t) { fs::remove(t.leaf("00020")); }, {"tensor00020_000"}},
      {"swapped leaves of other shapes",
       [](const TinyCopy& t) {
         fs::rename(t.leaf("00002"), t.path() / "a");
         fs::rename(t.leaf("00003"), t.leaf("00002"));
         fs::rename(t.path() / "a", t.leaf("00003"));
       },
       {"tensor0000", "should have the shape", "swapped"}},
      {"another number of layers",
       [](const TinyCopy& t) {
         t.edit(t.path() / "config.json",
                [](std::string s) { return replaced(s, "\"num_layers\": 4", "\"num_layers\": 5"); });
       },
       {"holds 50 parameters", "expects 62"}},
      {"a size that does not fit",
       [](const TinyCopy& t) {
         t.edit(t.path() / "config.json",
                [](std::string s) { return replaced(s, "\"ffn_size\": 256", "\"ffn_size\": 512"); });
       },
       {"config.json", "ffn_size"}},
      {"another vocabulary",
       [](const TinyCopy& t) {
         t.edit(t.path() / "config.json",
                [](std::string s) { return replaced(s, "\"vocab_size\": 1024", "\"vocab_size\": 1000"); });
       },
       {"1024 pieces", "vocab_size is 1000"}},
      {"no tokenizer", [](const TinyCopy& t) { fs::remove(t.path() / "tokenizer.model"); }, {"tokenizer.model"}},
      {"damaged configuration", [](const TinyCopy& t) { write_file(t.path() / "config.json", "{"); }, {"config.json"}},
      {"heads that do not divide",
       [](const TinyCopy& t) {
         t.edit(t.path() / "config.json",
                [](std::string s) { return replaced(s, "\"num_q_heads\": 16", "\"num_q_heads\": 15"); });
       },
       {"num_q_heads"}},
      {"a second host's file",
       [](const TinyCopy& t) { write_file(t.path() / "ckpt-0/tensor00000_001", "x"); },
       {"tensor00000_001"}},
  });
  for (const BadModel& row : rows) {
    CAPTURE(row.name);
    const TinyCopy copy;
    row.damage(copy);
    const Outcome r = run({"--checkpoint", copy.path() / "ckpt-0", "hi"});
    CHECK(r.code == 2);
    CHECK(r.out.empty());
    for (const std::string& expected : row.expected) CHECK_MESSAGE(contains(r.err, expected), r.err);
    CHECK_MESSAGE((lines(r.err) >= 1 && lines(r.err) <= 3), r.err);
  }
}
