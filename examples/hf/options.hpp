// The command line of the custom models' programs: every option, its default, its check, and the text of --help.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <limits>
#include <optional>
#include <string>
#include <vector>

#include "../program/device_options.hpp"
#include "../program/option_checks.hpp"
#include "program.hpp"

namespace hf {

struct Options {
  std::string message;  // --help: print it on standard output and exit with 0

  std::vector<std::string> prompts, ids;  // texts, or tokens as numbers; one row of the batch each
  std::string checkpoint, dummy;          // a folder; or a config.json, with random weights
  std::string tokenizer;                  // empty: tokenizer.model beside the checkpoint
  std::string mesh = "1x1x1";
  std::optional<Weights> weights;  // none: as config.json says
  ::program::DeviceOptions device;
  int threads = 0;
  index_t max_tokens = 100;
  double temperature = 0, nucleus_p = 1;
  std::uint32_t seed = 42;
  bool ignore_eos = false;
  bool plan = false;
  index_t batch = 1, prompt_tokens = 512, context = 4096;
  std::string save, stats = "text";
};

/// Reads the command line. Throws tess::Error for everything that is wrong with it.
inline Options parse(const Program& program, int argc, const char* const* argv) {
  using program::between, program::one_of, program::whole;  // the checks
  Options o;
  const std::string& name = program.name;
  CLI::App app(program.about, name);
  app.get_formatter()->column_width(34);
  app.footer(
      "\nExamples:\n"
      "  " +
      name +
      " --checkpoint FOLDER --ids \"1 17 42\" --max-tokens 8\n"
      "  " +
      name +
      " --checkpoint FOLDER --mesh 1x2x2 \"The answer is\"      with FOLDER/tokenizer.model\n"
      "  " +
      name +
      " --dummy config.json --ids \"1 17 42\"                 random weights of these sizes\n"
      "  " +
      name +
      " --dummy config.json --plan --mesh 1x2x2             the bill, nothing is loaded\n"
      "  " +
      name +
      " --checkpoint FOLDER --save copy.safetensors         the parameters, bit for bit\n\n"
      "Tokenizers: SentencePiece (tokenizer.model), with BOS unless tokenizer_config.json says otherwise; or\n"
      "token ids in and out (--ids). Hugging Face's tokenizer.json (byte-level BPE) is not read: no C++ library\n"
      "for it is packaged. Encode with Python and give --ids.\n\n"
      "Exit codes: 0 success, 2 wrong arguments or input, 3 no GPU for --device cuda (one message on standard error).");

  app.add_option("prompt", o.prompts, "Prompts, one row of a batch each; they need a SentencePiece model")
      ->type_name("");
  app.add_option("--ids", o.ids, "A prompt as token ids; the continuation comes as ids. May be given several times")
      ->type_name("\"N N …\"")
      ->allow_extra_args(false)
      ->group("Prompt");
  auto* checkpoint =
      app.add_option("--checkpoint", o.checkpoint, "Folder of config.json and *.safetensors, as published")
          ->type_name("FOLDER")
          ->group("Model");
  app.add_option("--dummy", o.dummy, "Random weights of the sizes that this config.json says")
      ->type_name("CONFIG.JSON")
      ->excludes(checkpoint)
      ->group("Model");
  app.add_option("--tokenizer", o.tokenizer, "SentencePiece model [tokenizer.model of the checkpoint]")
      ->type_name("FILE")
      ->group("Model");
  std::vector<std::string> meshes;
  std::string list;
  for (const MeshProgram& m : program.meshes) list += (list.empty() ? "" : "|") + meshes.emplace_back(m.name());
  app.add_option("--mesh", o.mesh, "Devices, data × expert × model: " + list)
      ->type_name("DxExM")
      ->check(one_of(meshes))
      ->capture_default_str()
      ->group("Model");
  std::string weights;
  app.add_option("--weights", weights, "Matrices in memory; bf16 rounds those of f32 files [as config.json says]")
      ->type_name("f32|bf16")
      ->check(one_of({"f32", "bf16"}))
      ->group("Model");
  ::program::add_device_options(app, o.device);
  app.add_option("--threads", o.threads, "Threads of the host; 0: one a core")
      ->type_name("N")
      ->check(whole(0, 1024))
      ->capture_default_str()
      ->group("Model");
  auto* save =
      app.add_option("--save", o.save, "Write the parameters as one file of safetensors, by the checkpoint's names")
          ->type_name("FILE")
          ->group("Model");

  app.add_option("--max-tokens", o.max_tokens, "Tokens to generate a prompt")
      ->type_name("N")
      ->check(whole(1, 1 << 24))
      ->capture_default_str()
      ->group("Sampling");
  app.add_option("--temperature", o.temperature, "Randomness; 0 takes the most probable token")
      ->type_name("T")
      ->check(between(0, 100))
      ->capture_default_str()
      ->group("Sampling");
  app.add_option("--nucleus-p", o.nucleus_p, "Sample from the most probable tokens of this total probability")
      ->type_name("P")
      ->check(between(0, 1))
      ->capture_default_str()
      ->group("Sampling");
  app.add_option("--seed", o.seed, "Of the random numbers, and of random weights")
      ->type_name("N")
      ->check(whole(0, std::numeric_limits<std::uint32_t>::max()))
      ->capture_default_str()
      ->group("Sampling");
  app.add_flag("--ignore-eos", o.ignore_eos, "Do not stop at the tokens that end a text")->group("Sampling");

  auto* plan =
      app.add_flag("--plan", o.plan, "Print parameters, collectives, bytes and arithmetic of one device; loads nothing")
          ->group("Plan");
  app.add_option("--batch", o.batch, "Sequences at once; rows are added until they divide over data × expert")
      ->type_name("N")
      ->check(whole(1, 4096))
      ->capture_default_str()
      ->needs(plan)
      ->group("Plan");
  app.add_option("--prompt-tokens", o.prompt_tokens, "Tokens of each prompt, for prefill")
      ->type_name("N")
      ->check(whole(1, 1 << 17))
      ->capture_default_str()
      ->needs(plan)
      ->group("Plan");
  app.add_option("--context", o.context, "Tokens that the caches hold; decoding computes the last of them")
      ->type_name("N")
      ->check(whole(1, 1 << 20))
      ->capture_default_str()
      ->needs(plan)
      ->group("Plan");
  plan->excludes(save);
  app.add_option("--stats", o.stats, "The closing line of statistics, on standard error: text, json or none")
      ->type_name("text|json|none")
      ->check(one_of({"text", "json", "none"}))
      ->capture_default_str()
      ->group("Output");

  try {
    app.parse(argc, argv);
  } catch (const CLI::CallForHelp&) {
    o.message = app.help();
    return o;
  } catch (const CLI::ParseError& e) {
    tess::fail(name, ": ", std::string_view(e.what()), "\nSee ", name, " --help");
  }
  if (!weights.empty()) o.weights = weights == "f32" ? Weights::f32 : Weights::bf16;
  const auto require = [&](bool holds, const auto&... why) {
    if (!holds) tess::fail(name, ": ", why..., "\nSee ", name, " --help");
  };
  ::program::check_device_options(name, o.device);
  require(!(o.checkpoint.empty() && o.dummy.empty()), "no model; give --checkpoint FOLDER, or --dummy CONFIG.JSON");
  require(o.prompts.empty() || o.ids.empty(), "prompts as text and as --ids exclude each other");
  require(o.plan || !o.save.empty() || !(o.prompts.empty() && o.ids.empty()),
          "nothing to do; give a prompt, --ids, --plan or --save");
  require(o.batch * o.prompt_tokens <= 1 << 22, o.batch, " × ", o.prompt_tokens, " tokens in one pass are too many; ",
          1 << 22, " can be planned");
  require(o.prompt_tokens <= o.context, "a prompt of ", o.prompt_tokens, " tokens does not fit into a context of ",
          o.context);
  return o;
}

}  // namespace hf
