// grok1: continues prompts with Grok-1, from an official checkpoint, on any of the meshes it was built for.
// SPDX-License-Identifier: Apache-2.0
#include <fmt/core.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <fstream>
#include <iostream>
#include <iterator>
#include <new>
#include <optional>

#include "../program/load_progress.hpp"
#include "../program/sentencepiece.hpp"
#include "engine.hpp"
#include "model_files.hpp"
#include "options.hpp"
#include "plan.hpp"
#include "reports.hpp"

namespace grok1 {
namespace {

constexpr const char* default_prompt = "The answer to life the universe and everything is of course";

struct Style {
  const char *prompt = "", *faint = "", *plain = "";
};
Style style_of(const Options& o) {
  if (!o.color || isatty(STDOUT_FILENO) == 0 || std::getenv("NO_COLOR") != nullptr) return {};
  return {"\033[1m", "\033[2m", "\033[0m"};
}

std::string read_all(std::istream& in) { return {std::istreambuf_iterator<char>(in), {}}; }

/// The prompts of the command line. A final line end of a file or of standard input is not part of the prompt.
std::vector<std::string> read_prompts(const Options& o) {
  const auto without_line_end = [](std::string s) {
    if (!s.empty() && s.back() == '\n') s.pop_back();
    return s;
  };
  if (!o.prompt_file.empty()) {
    std::ifstream in(o.prompt_file, std::ios::binary);
    std::string text = read_all(in);
    if (!in && text.empty()) tess::fail(o.prompt_file, ": cannot be read; name a file that holds the prompt");
    return {without_line_end(std::move(text))};
  }
  if (o.prompts.empty()) return {default_prompt};
  std::vector<std::string> prompts = o.prompts;
  for (std::string& p : prompts)
    if (p == "-") p = without_line_end(read_all(std::cin));
  return prompts;
}

/// Weights are kept in memory; a clear word before the machine starts to swap.
void check_memory(const ModelFiles& files, const MeshEntry& mesh) {
  double need = 0;
  for (const LeafShard& s : mesh.shards(files.config)) need += static_cast<double>(s.bytes);
  need *= static_cast<double>(mesh.data * mesh.model);
  const double have = available_bytes();
  if (have > 0 && need > have)
    tess::fail(files.name, " needs ", size_text(need), " of memory for its parameters, but ", size_text(have),
               " are available\nUse a machine with more memory, or a smaller model (--dummy-weights medium)");
}

class Session {
 public:
  Session(const Options& o, std::size_t rows)
      : options_(o), style_(style_of(o)), files_(find_model(o, GROK1_DIRECTORY "/tiny")) {
    const MeshEntry& mesh = find_mesh(o.mesh);
    const auto make_engine = o.device.on_cuda() ? mesh.make_cuda_engine : mesh.make_engine;
    if (!make_engine)
      tess::fail(
          "mesh \"", o.mesh, "\" was not built for ", o.device.on_cuda() ? "GPUs" : "the CPU",
          "; choose one of: ", built_meshes(o.device.on_cuda()),
          o.device.on_cuda() ? "\nOr configure with -DTESS_CUDA_PROGRAMS=all, which has 1x2 and 2x8 as well" : "");
    tess::cuda::Options cuda;
    if (o.device.on_cuda()) cuda = program::cuda_options(o.device, o.threads);
    is_first_ = cuda.process == 0;
    if (!files_.tokenizer.empty())
      tokenizer_.emplace(program::SentencePiece::load(files_.tokenizer, files_.config.vocab_size));
    else if (o.dummy_weights == DummyWeights::none && !files_.token_ids)
      tess::fail("no tokenizer.model beside ", files_.checkpoint.string(), "\nName the checkpoint's with --tokenizer");
    if (!o.device.on_cuda()) check_memory(files_, mesh);
    program::LoadProgress progress;
    const auto start = std::chrono::steady_clock::now();
    engine_ = make_engine({.config = files_.config,
                           .checkpoint = files_.checkpoint,
                           .threads = o.threads,
                           .cuda = cuda,
                           .slots = static_cast<index_t>(std::min<std::size_t>(rows, most_slots)),
                           .capacity = 0,
                           .progress = [&](index_t done, index_t all) {
                             if (is_first_) progress(done, all);
                           }});
    facts_.load_seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    facts_.model = files_.name;
    facts_.mesh = o.mesh;
    facts_.device = o.device.device;
    facts_.threads = engine_->threads();
  }

  void generate(const std::vector<std::string>& prompts) {
    std::vector<i32> eos;
    if (!options_.ignore_eos) eos.push_back(static_cast<i32>(files_.config.eos_token));
    std::vector<generate::Request> requests;
    for (const std::string& p : prompts)
      requests.push_back(
          {.prompt = encode(p),
           .max_tokens = options_.max_tokens,
           .settings = {static_cast<float>(options_.temperature), static_cast<float>(options_.nucleus_p)},
           .seed = options_.seed,
           .eos = eos});
    engine_->check(requests);
    const bool stream = prompts.size() == 1;
    if (stream && !options_.top_probs) show_prompt(prompts[0]);
    std::vector<program::StreamDecoder> decoders;
    if (tokenizer_) decoders.assign(prompts.size(), tokenizer_->stream());
    std::vector<std::string> texts(prompts.size());  // of rows that are not streamed
    engine_->generate(requests, [&](std::size_t i, const generate::SampleOutput& out, bool is_text) {
      if (options_.top_probs) show_top(prompts.size() > 1 ? i + 1 : 0, out);
      if (!is_text || options_.top_probs) return;
      const std::string piece = tokenizer_ ? decoders[i].push(out.token_id) : " " + std::to_string(out.token_id);
      if (!stream) texts[i] += piece;
      else put(piece);
    });
    if (options_.top_probs) return;
    if (stream) {
      if (tokenizer_) put(decoders[0].finish());
      put("\n");
    } else {
      for (std::size_t i = 0; i < prompts.size(); ++i) {
        show_prompt(prompts[i]);
        put(texts[i] + (tokenizer_ ? decoders[i].finish() : "") + "\n");
      }
    }
  }

  void print_stats() {
    if (!is_first_) return;
    facts_.timing = engine_->timing();
    facts_.received_bytes = engine_->received_bytes();
    if (options_.stats == Stats::text) fmt::print(stderr, "{}\n", program::stats_text(facts_));
    if (options_.stats == Stats::json) fmt::print(stderr, "{}\n", program::stats_json(facts_));
  }

 private:
  static constexpr std::size_t most_slots = 64;

  const Options& options_;
  Style style_;
  ModelFiles files_;
  std::optional<program::SentencePiece> tokenizer_;
  std::unique_ptr<Engine> engine_;
  program::RunFacts facts_;
  bool is_first_ = true;  // of several processes, the one that people see

  std::vector<i32> encode(const std::string& prompt) const {
    if (tokenizer_) return tokenizer_->encode(prompt);
    if (files_.token_ids) return generate::TokenIds(files_.config.vocab_size).encode(prompt);
    std::vector<i32> ids;
    // Dummy weights know no words: a number for each byte will do.
    for (const char c : prompt)
      ids.push_back(static_cast<i32>(static_cast<unsigned char>(c)) % static_cast<i32>(files_.config.vocab_size));
    return ids;
  }
  void put(const std::string& text) const {
    std::fwrite(text.data(), 1, text.size(), stdout);
    std::fflush(stdout);
  }
  void show_prompt(const std::string& prompt) const { put(style_.prompt + prompt + style_.plain); }

  /// One line a token: what was chosen and the eight most probable.
  void show_top(std::size_t row, const generate::SampleOutput& out) const {
    const auto name = [&](i32 id) {
      if (id < 0) return std::string();
      return tokenizer_ ? fmt::format("{:?}", tokenizer_->surface(id)) : std::to_string(id);
    };
    std::string line = row ? fmt::format("{:>3}  ", row) : std::string();
    line += fmt::format("{:<16} {:>7.4f} {}|", name(out.token_id), static_cast<float>(out.prob), style_.faint);
    for (std::size_t k = 0; k < out.top_k_token_ids.size(); ++k)
      if (out.top_k_token_ids[k] >= 0)
        line += fmt::format("  {} {:.4f}", name(out.top_k_token_ids[k]), static_cast<float>(out.top_k_probs[k]));
    put(line + style_.plain + "\n");
  }
};

void interact(Session& session) {
  const bool ask = isatty(STDIN_FILENO) != 0;
  for (std::string line;;) {
    if (ask) fmt::print(stderr, "> ");
    if (!std::getline(std::cin, line)) break;
    if (line.empty()) continue;
    try {
      session.generate({line});
    } catch (const tess::Error& e) {  // a bad line is no reason to leave
      fmt::print(stderr, "grok1: {}\n", e.what());
    }
  }
  if (ask) fmt::print(stderr, "\n");
}

/// Beside the file first, then renamed: a reader never sees half a page, and a failure leaves the old one.
void write_file(const std::string& file, const std::string& text) {
  const std::string beside = file + ".part";
  std::ofstream out(beside, std::ios::binary);
  out << text;
  out.close();
  std::error_code failed;
  if (out) std::filesystem::rename(beside, file, failed);
  if (out && !failed) return;
  std::error_code ignored;
  std::filesystem::remove(beside, ignored);
  tess::fail("grok1: ", file, " cannot be written\nName a file in a folder that exists with --html");
}

void plan(const Options& o) {
  const bool official = o.config.empty();
  const LanguageModelConfig config = official ? grok_1 : read_config(o.config).config;
  const std::string name = official ? "Grok-1" : o.config;
  const Load load{.batch = o.plan.batch,
                  .prompt = o.plan.prompt ? o.plan.prompt : std::min<index_t>(1024, config.sequence_len),
                  .context = o.plan.context ? o.plan.context : config.sequence_len};
  if (load.prompt > load.context)
    tess::fail("grok1: a prompt of ", load.prompt, " tokens does not fit into a context of ", load.context,
               "\nChoose a larger --context");
  const bool colours = *style_of(o).plain != '\0';
  std::vector<MeshPlan> compared;
  const MeshPlan* shown = nullptr;
  if (o.plan.best) {
    compared = plan_all(config, o.plan.devices, o.plan.machine, load);
    std::vector<Phase> phases;
    if (o.plan.phase != "decode") phases.push_back(Phase::prefill);
    if (o.plan.phase != "prefill") phases.push_back(Phase::decode);
    fmt::print("{}", comparison_text(compared, phases, colours));
    for (const Phase phase : phases)
      if (const MeshPlan* best = best_of(compared, phase)) shown = best;
    if (!shown && !o.plan.html.empty()) tess::fail("grok1: no mesh is possible, so there is no page to write");
  } else {
    const MeshEntry& mesh = find_mesh(o.mesh);
    compared.push_back(plan_mesh(config, mesh, find_machine(o.plan.machine, mesh.data * mesh.model), load));
    shown = &compared[0];
    if (!shown->impossible.empty()) tess::fail("grok1: ", shown->impossible);
    fmt::print("{}", plan_text(config, name, *shown, colours));
  }
  if (!o.plan.html.empty()) write_file(o.plan.html, plan_page(config, name, *shown, compared));
}

int run(int argc, char** argv) {
  const Options o = parse(argc, argv);
  if (!o.message.empty()) {
    fmt::print("{}", o.message);
    return 0;
  }
  if (o.command == Command::plan) {
    plan(o);
    return 0;
  }
  if (o.command == Command::inspect) {
    print_inspect(find_model(o, GROK1_DIRECTORY "/tiny"), find_mesh(o.mesh));
    return 0;
  }
  const bool reads = o.interactive || std::find(o.prompts.begin(), o.prompts.end(), "-") != o.prompts.end();
  if (reads && o.device.on_cuda() && tess::cuda::options_from_environment().processes > 1)
    tess::fail(
        "grok1: only the first of several processes has standard input\nGive the prompt itself, or --prompt-file");
  std::vector<std::string> prompts;
  if (!o.interactive) prompts = read_prompts(o);
  for (const std::string& p : prompts) {
    program::require_utf8(p, "prompt");
    if (p.empty()) tess::fail("the prompt is empty; give at least one word");
  }
  Session session(o, std::max<std::size_t>(1, prompts.size()));
  if (o.interactive) interact(session);
  else session.generate(prompts);
  session.print_stats();
  return 0;
}

}  // namespace
}  // namespace grok1

int main(int argc, char** argv) {
  try {
    return grok1::run(argc, argv);
  } catch (const tess::NoDevice& e) {
    fmt::print(stderr, "{}\n", e.what());
    return 3;
  } catch (const tess::Error& e) {
    fmt::print(stderr, "{}\n", e.what());
  } catch (const std::bad_alloc&) {
    fmt::print(stderr, "grok1: out of memory\n");
  } catch (const std::exception& e) {
    fmt::print(stderr, "grok1: {}\n", e.what());
  }
  return 2;
}
