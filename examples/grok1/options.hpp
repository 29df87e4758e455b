// The command line of grok1: every option, its default, its check, and the text of --help.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <CLI/CLI.hpp>

#include <cstdint>
#include <limits>
#include <string>
#include <string_view>
#include <vector>

#include <tess/core/error.hpp>
#include <tess/core/types.hpp>

#include "../program/device_options.hpp"
#include "../program/option_checks.hpp"
#include "cpu_rates.hpp"

namespace grok1 {

enum class Command { generate, inspect, plan };
enum class DummyWeights { none, medium_size, full_size };
enum class Stats { text, json, none };

struct Options {
  Command command = Command::generate;
  std::string message;  // --help, --version: print it on standard output and exit with 0

  std::vector<std::string> prompts;  // one row of the batch each; "-": standard input
  std::string prompt_file;
  bool interactive = false;

  std::string checkpoint, tokenizer, config;  // empty: of the tiny model that comes with the program
  DummyWeights dummy_weights = DummyWeights::none;
  std::string mesh = "1x1";
  struct {
    std::string machine;                               // empty: as many H100s as the mesh has devices
    tess::index_t batch = 1, prompt = 0, context = 0;  // 0: what the model's context allows
    bool best = false;
    tess::index_t devices = 8;
    std::string phase = "both";
    std::string html;  // empty: no page
  } plan;
  program::DeviceOptions device;
  int threads = 0;  // 0: one a core

  tess::index_t max_tokens = 100;
  double temperature = 0;  // the reference: 0.01
  double nucleus_p = 1;
  std::uint32_t seed = 42;
  bool ignore_eos = false;

  bool top_probs = false;
  Stats stats = Stats::text;
  bool color = true;
};

/// Data × model sizes that the program is built for, 2x8 for GPUs alone; `plan` knows the official ones of several hosts besides.
inline const std::vector<std::string> meshes = {"1x1", "1x2", "1x4", "1x8", "2x2", "2x4", "4x2", "8x1", "2x8"};
inline const std::vector<std::string> plan_meshes = {"1x1", "1x2", "2x1",  "1x4", "2x2", "4x1", "1x8", "2x4",
                                                     "4x2", "8x1", "1x16", "2x8", "4x4", "8x2", "16x1"};
inline const std::vector<std::string> machines = {"h100x8", "h100x16", "h200x8", "h200x16", "cpu"};

namespace detail {

using program::between, program::one_of, program::whole;

inline constexpr std::string_view examples = R"(
Examples:
  grok1                                              the tiny model continues a default prompt
  grok1 "17 + 25 =" "An all-gather"                  two prompts at once
  grok1 --temperature 0.7 --seed 7 "Once upon a time"
  cat story.txt | grok1 --max-tokens 50 -            the prompt from standard input
  grok1 --interactive                                one prompt a line
  grok1 --checkpoint ckpt-0 --tokenizer tokenizer.model --mesh 1x8 "The answer is"
                                                     the official checkpoint, eight shards
  grok1 --dummy-weights medium --stats json "Hello"  speed without a checkpoint
  grok1 --device cuda --mesh 1x8 --checkpoint ckpt-0 "The answer is"
                                                     the same on GPUs; also under mpirun, one process a GPU
  grok1 inspect --checkpoint ckpt-0 --mesh 2x4       leaves, shapes, specs, bytes per device
  grok1 plan --mesh 1x8                              the full-size model's bill, nothing is loaded
  grok1 plan --best --devices 16 --batch 32          every mesh of 16 devices, the best of each phase
  grok1 plan --mesh 2x4 --html plan.html             the same as a page: mesh, shards, timeline, memory
  grok1 -- plan                                      a prompt that is the name of a sub-command

Exit codes: 0 success, 2 wrong arguments or input, 3 no GPU for --device cuda (one message on standard error).)";

inline constexpr std::string_view plan_notes = R"(
The bill is that of the model's own code, run on a device that stores nothing. A machine is described by data sheets
(include/tess/comm/machine.hpp); cpu is one CPU that simulates the mesh. docs/how-to/read_the_bill.md explains each number.)";

inline void plan_options(CLI::App& plan, Options& o) {
  const auto known = one_of(machines);
  const auto check = [known](std::string& given) { return read_cpu_rates(given) ? std::string() : known(given); };
  std::string names;
  for (const auto& m : machines) names += (names.empty() ? "" : "|") + m;
  plan.add_option("--machine", o.plan.machine,
                  "What it would run on [h100x8; beyond 8 devices h100x16]; cpu:GB/s:GFLOP/s gives its rates")
      ->type_name(names)
      ->check(CLI::Validator(check, ""))
      ->group("Machine");
  plan.add_option("--batch", o.plan.batch, "Sequences at once; rows are added until they divide over data")
      ->type_name("N")
      ->check(whole(1, 4096))
      ->capture_default_str()
      ->group("Load");
  plan.add_option("--prompt", o.plan.prompt, "Tokens of a prompt, for prefill [1024, or the context]")
      ->type_name("N")
      ->check(whole(1, 1 << 20))
      ->group("Load");
  plan.add_option("--context", o.plan.context, "Tokens that the caches hold; decoding computes the last [the model's]")
      ->type_name("N")
      ->check(whole(1, 1 << 20))
      ->group("Load");
  auto* best = plan.add_flag("--best", o.plan.best, "Compare all meshes of --devices and explain the best")
                   ->excludes(plan.get_option("--mesh"))
                   ->group("Comparison");
  plan.add_option("--devices", o.plan.devices, "Devices of the meshes to compare: 1, 2, 4, 8 or 16")
      ->type_name("N")
      ->check(one_of({"1", "2", "4", "8", "16"}))
      ->capture_default_str()
      ->needs(best)
      ->group("Comparison");
  plan.add_option("--phase", o.plan.phase, "What to compare")
      ->type_name("prefill|decode|both")
      ->check(one_of({"prefill", "decode", "both"}))
      ->capture_default_str()
      ->needs(best)
      ->group("Comparison");
  plan.add_option("--html", o.plan.html, "Write a page: the mesh, memory, timelines and every parameter's shards")
      ->type_name("FILE")
      ->group("Output");
  plan.add_flag_callback(
          "--no-color", [&o] { o.color = false; }, "No colours, also where the terminal has them")
      ->group("Output");
}

}  // namespace detail

/// Reads the command line. Throws tess::Error for everything that is wrong with it: print it on standard error and exit
/// with 2.
inline Options parse(int argc, const char* const* argv) {
  Options o;
  CLI::App app("Grok-1 in C++20: continues prompts, from an official checkpoint, on any mesh.", "grok1");
  app.footer(std::string(detail::examples));
  app.set_version_flag("--version", "grok1 (Tessera)");
  app.get_formatter()->column_width(34);

  app.add_option("prompt", o.prompts, "Prompts, one row of a batch each; - reads one from standard input")
      ->type_name("");
  app.add_option("--prompt-file", o.prompt_file, "Read the prompt from a file")->type_name("FILE")->group("Prompt");
  app.add_flag("--interactive", o.interactive, "Ask for prompts, line by line, until end of file")->group("Prompt");

  const auto checkpoint_option = [&o](CLI::App& to) {
    to.add_option("--checkpoint", o.checkpoint,
                  "Folder of the official files tensor00000_000 …, or of safetensors [the tiny model]")
        ->type_name("DIR")
        ->group("Model");
  };
  const auto model_options = [&o](CLI::App& to, const std::vector<std::string>& known_meshes) {
    to.add_option("--config", o.config, "The model's sizes [config.json beside the checkpoint; without one, Grok-1's]")
        ->type_name("FILE")
        ->group("Model");
    std::string list;
    for (const auto& m : known_meshes) list += (list.empty() ? "" : "|") + m;
    to.add_option("--mesh", o.mesh, "Devices, data × model: " + list)
        ->type_name("DxM")
        ->check(program::one_of(known_meshes))
        ->capture_default_str()
        ->group("Model");
  };
  checkpoint_option(app);
  model_options(app, meshes);
  app.add_option("--tokenizer", o.tokenizer,
                 "SentencePiece model, or ids: token numbers in and out [tokenizer.model beside the checkpoint]")
      ->type_name("FILE")
      ->group("Model");
  program::add_device_options(app, o.device);
  app.add_option("--threads", o.threads, "Threads of the host; 0: one a core")
      ->type_name("N")
      ->check(program::whole(0, 1024))
      ->capture_default_str()
      ->group("Model");
  std::string dummy = "none", stats = "text";
  app.add_option("--dummy-weights", dummy,
                 "Random weights instead of a checkpoint: medium (2 GB) or full (Grok-1's sizes, 316 GB)")
      ->type_name("medium|full")
      ->check(program::one_of({"medium", "full"}))
      ->group("Model");

  app.add_option("--max-tokens", o.max_tokens, "Tokens to generate a prompt")
      ->type_name("N")
      ->check(program::whole(1, 1 << 24))
      ->capture_default_str()
      ->group("Sampling");
  app.add_option("--temperature", o.temperature, "Randomness; 0 takes the most probable token")
      ->type_name("T")
      ->check(program::between(0, 100))
      ->capture_default_str()
      ->group("Sampling");
  app.add_option("--nucleus-p", o.nucleus_p, "Sample from the most probable tokens of this total probability")
      ->type_name("P")
      ->check(program::between(0, 1))
      ->capture_default_str()
      ->group("Sampling");
  app.add_option("--seed", o.seed, "Of the random numbers (JAX's threefry: the reference's tokens)")
      ->type_name("N")
      ->check(program::whole(0, std::numeric_limits<std::uint32_t>::max()))
      ->capture_default_str()
      ->group("Sampling");
  app.add_flag("--ignore-eos", o.ignore_eos, "Do not stop at [EOS] (the reference never does)")->group("Sampling");

  app.add_flag("--top-probs", o.top_probs, "Report the eight most probable tokens of every step")->group("Output");
  app.add_option("--stats", stats, "The closing line of statistics, on standard error: text, json or none")
      ->type_name("text|json|none")
      ->check(program::one_of({"text", "json", "none"}))
      ->capture_default_str()
      ->group("Output");
  bool no_color = false;
  app.add_flag("--no-color", no_color, "No colours, also where the terminal has them")->group("Output");

  auto* inspect =
      app.add_subcommand("inspect", "List a checkpoint's leaves: file, dtype, shape, spec, bytes per device");
  checkpoint_option(*inspect);
  model_options(*inspect, meshes);
  auto* plan = app.add_subcommand(
      "plan", "Print memory, collectives, bytes and predicted time of the full-size model; loads nothing");
  model_options(*plan, plan_meshes);
  detail::plan_options(*plan, o);
  inspect->footer("");
  plan->footer(std::string(detail::plan_notes));
  app.require_subcommand(0, 1);

  try {
    app.parse(argc, argv);
  } catch (const CLI::CallForHelp&) {
    const auto chosen = app.get_subcommands();
    o.message = chosen.empty() ? app.help() : chosen.front()->help("grok1");
    return o;
  } catch (const CLI::CallForVersion&) {
    o.message = app.version() + "\n";
    return o;
  } catch (const CLI::ParseError& e) {
    tess::fail("grok1: ", std::string_view(e.what()), "\nSee grok1 --help");
  }

  if (inspect->parsed()) o.command = Command::inspect;
  if (plan->parsed()) o.command = Command::plan;
  o.dummy_weights = dummy == "medium" ? DummyWeights::medium_size
                    : dummy == "full" ? DummyWeights::full_size
                                      : DummyWeights::none;
  if (no_color) o.color = false;
  o.stats = stats == "json" ? Stats::json : stats == "none" ? Stats::none : Stats::text;
  const auto conflict = [](bool both, const char* a, const char* b) {
    if (both) tess::fail("grok1: ", a, " and ", b, " exclude each other\nSee grok1 --help");
  };
  conflict(o.dummy_weights != DummyWeights::none && !o.checkpoint.empty(), "--dummy-weights", "--checkpoint");
  conflict(!o.prompts.empty() && !o.prompt_file.empty(), "a prompt", "--prompt-file");
  conflict(o.interactive && !(o.prompts.empty() && o.prompt_file.empty()), "--interactive", "a prompt");
  conflict(o.command != Command::generate && !o.prompts.empty(), "a prompt", "a sub-command");
  program::check_device_options("grok1", o.device);
  return o;
}

}  // namespace grok1
