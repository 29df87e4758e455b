// The driver of the custom models' programs: files, prompts, the stream of tokens, the plan.
// SPDX-License-Identifier: Apache-2.0
#include "program.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <chrono>
#include <exception>
#include <new>
#include <utility>

#include <tess/comm/describe.hpp>
#include <tess/io/json.hpp>

#include "../program/load_progress.hpp"
#include "../program/sentencepiece.hpp"
#include "../program/statistics.hpp"
#include "options.hpp"

namespace hf {
namespace {

namespace fs = std::filesystem;
namespace generate = tess::generate;
using tess::i32;
using tess::io::Json;

/// The files of a model, and what the driver itself has to know of its config.json.
struct Files {
  fs::path config, checkpoint, tokenizer;  // empty: none
  index_t vocabulary = 0;
  Weights weights = Weights::f32;
  std::vector<i32> eos{};
  program::Bos bos = program::Bos::first;
};

const Json* field(const Json& json, std::string_view key) {
  const Json* value = json.find(key);
  return value && !value->is_null() ? value : nullptr;
}

/// bfloat16 and, where matrices are stored in 8 bits, what they are computed in; everything else is exact in f32.
Weights weights_of(const Json& config) {
  for (const char* key : {"dtype", "torch_dtype"})
    if (const Json* dtype = field(config, key)) return dtype->string() == "bfloat16" ? Weights::bf16 : Weights::f32;
  return Weights::f32;
}

i32 token_id(const Json& json) {
  const std::int64_t id = json.integer();
  if (!std::in_range<i32>(id)) tess::fail(json.where(), ": \"eos_token_id\" is ", id, ", which is no token");
  return static_cast<i32>(id);
}

/// "eos_token_id": a number, several, or none.
std::vector<i32> end_tokens(const Json& json) {
  std::vector<i32> ids;
  const Json* eos = field(json, "eos_token_id");
  if (!eos) return ids;
  if (!eos->is_array()) return {token_id(*eos)};
  for (const Json& id : eos->array()) ids.push_back(token_id(id));
  return ids;
}

Files find_files(const Options& o) {
  Files f;
  f.checkpoint = o.checkpoint;
  f.config = o.dummy.empty() ? f.checkpoint / "config.json" : fs::path(o.dummy);
  if (!o.checkpoint.empty() && !fs::is_directory(f.checkpoint))
    tess::fail(o.checkpoint, ": is not a folder; name the one that holds config.json and the *.safetensors");
  const Json config = Json::read_file(f.config);
  f.vocabulary = static_cast<index_t>(config.at("vocab_size").integer());
  f.weights = o.weights.value_or(weights_of(config));
  f.eos = end_tokens(config);
  const fs::path folder = f.config.parent_path();
  if (const fs::path file = folder / "generation_config.json"; fs::exists(file)) {
    const Json generation = Json::read_file(file);
    if (field(generation, "eos_token_id")) f.eos = end_tokens(generation);
  }
  if (o.ignore_eos) f.eos.clear();
  f.tokenizer = o.tokenizer;
  if (const fs::path beside = folder / "tokenizer.model"; f.tokenizer.empty() && fs::exists(beside))
    f.tokenizer = beside;
  if (const fs::path file = folder / "tokenizer_config.json"; fs::exists(file)) {
    const Json tokenizer = Json::read_file(file);
    if (const Json* bos = field(tokenizer, "add_bos_token"))
      f.bos = bos->boolean() ? program::Bos::first : program::Bos::none;
  }
  return f;
}

const MeshProgram& find_mesh(const Program& program, const std::string& name) {
  return *std::find_if(program.meshes.begin(), program.meshes.end(), [&](const auto& m) { return m.name() == name; });
}

void put(const std::string& text) {
  std::fwrite(text.data(), 1, text.size(), stdout);
  std::fflush(stdout);
}

/// Continues prompts: one is streamed, several are printed one after the other when all are complete.
template <generate::Tokenizer T>
void continue_prompts(const T& tokenizer, const std::vector<std::string>& prompts,
                      const std::vector<generate::Request>& requests, generate::Engine& engine) {
  const bool streams = prompts.size() == 1;
  std::vector<typename T::Stream> decoders(prompts.size(), tokenizer.stream());
  std::vector<std::string> texts = prompts;
  if (streams) put(prompts[0]);
  engine.generate(requests, [&](std::size_t i, const generate::SampleOutput& out, bool is_text) {
    if (!is_text) return;
    const std::string piece = decoders[i].push(out.token_id);
    if (streams) put(piece);
    else texts[i] += piece;
  });
  for (std::size_t i = 0; i < prompts.size(); ++i) put((streams ? "" : texts[i]) + decoders[i].finish() + "\n");
}

std::string flops_text(double f) {
  const char* const units[] = {"FLOP", "kFLOP", "MFLOP", "GFLOP", "TFLOP", "PFLOP"};
  int u = 0;
  for (; f >= 1000 && u < 5; ++u) f /= 1000;
  return fmt::format("{:.3g} {}", f, units[u]);
}

std::string phase_text(const std::string& what, const tess::Cost& cost, std::string (*axes)(unsigned)) {
  const auto size = [](index_t bytes) { return program::size_text(static_cast<double>(bytes)); };
  std::string text = fmt::format(
      "{}\n  {} of products, {} of memory read and written ({} of it weights), {} of activations at the peak\n"
      "  {}, {} received\n",
      what, flops_text(static_cast<double>(cost.flops)), size(cost.memory_bytes()), size(cost.weight_bytes()),
      size(cost.peak_bytes), tess::detail::count_text(cost.collectives, "collective"), size(cost.bytes));
  for (const tess::TransferLine& t : cost.transfers)
    if (t.bytes > 0)
      text += fmt::format("    {:<32} {:>4} ×  {:>12}\n",
                          std::string(tess::detail::collective_text(t.kind)) + " over " + axes(t.axes), t.count,
                          size(t.bytes));
  return text;
}

std::string plan_text(const Program& program, const MeshProgram& mesh, const PlanOptions& o) {
  const Plan p = mesh.plan(o);
  const auto size = [](index_t bytes) { return program::size_text(static_cast<double>(bytes)); };
  std::string text = fmt::format("{}: {:.3f} million parameters, mesh data={} expert={} model={}, weights {}\n",
                                 program.name, static_cast<double>(p.parameters) * 1e-6, mesh.data, mesh.expert,
                                 mesh.model, o.weights == Weights::f32 ? "f32" : "bf16");
  text += fmt::format("one device: {} of parameters, {} of caches for {} tokens of {}\n", size(p.parameter_bytes),
                      size(p.decode.cache_bytes), o.context, tess::detail::count_text(p.rows, "sequence"));
  text += phase_text(fmt::format("prefill of {} × {} tokens", p.rows, o.prompt), p.prefill, p.axes);
  text += phase_text(fmt::format("decoding {} × 1 token at position {}", p.rows, o.context - 1), p.decode, p.axes);
  return text + "Where routing decides what moves, bytes are an upper bound.\n";
}

void run(const Program& program, const Options& o) {
  const Files files = find_files(o);
  const MeshProgram& mesh = find_mesh(program, o.mesh);
  PlanOptions planned{.config = files.config, .weights = files.weights};
  if (o.plan) {
    planned.batch = o.batch, planned.prompt = o.prompt_tokens, planned.context = o.context;
    put(plan_text(program, mesh, planned));
    return;
  }
  const auto load = o.device.on_cuda() ? mesh.load_on_cuda : mesh.load;
  if (!load)
    tess::fail(program.name, ": mesh ", o.mesh, " was not built for GPUs; configure with -DTESS_CUDA_PROGRAMS=all");
  const Plan plan = mesh.plan(planned);  // refuses what config.json should not say, before anything is loaded
  const std::vector<std::string>& prompts = o.ids.empty() ? o.prompts : o.ids;
  const generate::TokenIds ids(files.vocabulary);
  std::optional<program::SentencePiece> words;
  if (!o.prompts.empty()) {
    if (files.tokenizer.empty())
      tess::fail("a prompt of words needs a SentencePiece model, and there is no tokenizer.model beside ",
                 files.config.string(), "\nName one with --tokenizer, or give token ids with --ids");
    words.emplace(program::SentencePiece::load(files.tokenizer, files.vocabulary, files.bos));
  }
  std::vector<generate::Request> requests;
  index_t capacity = 1;
  for (const std::string& p : prompts) {
    auto tokens = words ? words->encode(p) : ids.encode(p);
    if (tokens.empty()) tess::fail("the prompt is empty; give at least one ", words ? "word" : "token");
    capacity = std::max(capacity, static_cast<index_t>(tokens.size()) + o.max_tokens);
    requests.push_back({.prompt = std::move(tokens),
                        .max_tokens = o.max_tokens,
                        .settings = {static_cast<float>(o.temperature), static_cast<float>(o.nucleus_p)},
                        .seed = o.seed,
                        .eos = files.eos});
  }
  tess::cuda::Options cuda;
  if (o.device.on_cuda()) cuda = program::cuda_options(o.device, o.threads);
  const bool is_first = cuda.process == 0;
  const double need = static_cast<double>(plan.parameter_bytes * mesh.data * mesh.expert * mesh.model),
               have = program::available_bytes();
  if (!o.device.on_cuda() && have > 0 && need > have)
    tess::fail(program.name, " needs ", program::size_text(need), " of memory for its parameters, but ",
               program::size_text(have), " are available\nUse a machine with more memory, or a smaller model");

  program::RunFacts facts;
  facts.model = program.name, facts.mesh = o.mesh, facts.device = o.device.device;
  program::LoadProgress progress;
  const auto start = std::chrono::steady_clock::now();
  const auto engine = load({.config = files.config,
                            .checkpoint = files.checkpoint,
                            .save = o.save,
                            .weights = files.weights,
                            .threads = o.threads,
                            .cuda = cuda,
                            .slots = std::clamp<index_t>(static_cast<index_t>(requests.size()), 1, 64),
                            .capacity = capacity,
                            .seed = o.seed,
                            .progress = [&](index_t done, index_t all) {
                              if (is_first) progress(done, all);
                            }});
  progress.clear();
  facts.load_seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  facts.threads = engine->threads();
  if (prompts.empty()) return;  // it was saved
  if (words) continue_prompts(*words, prompts, requests, *engine);
  else continue_prompts(ids, prompts, requests, *engine);
  if (!is_first) return;
  facts.timing = engine->timing();
  facts.received_bytes = engine->received_bytes();
  if (o.stats == "text") fmt::print(stderr, "{}\n", program::stats_text(facts));
  if (o.stats == "json") fmt::print(stderr, "{}\n", program::stats_json(facts));
}

}  // namespace

int run(const Program& program, int argc, const char* const* argv) {
  try {
    const Options o = parse(program, argc, argv);
    if (o.message.empty()) run(program, o);
    else put(o.message);
    return 0;
  } catch (const tess::NoDevice& e) {
    fmt::print(stderr, "{}\n", e.what());
    return 3;
  } catch (const tess::Error& e) {
    fmt::print(stderr, "{}\n", e.what());
  } catch (const std::bad_alloc&) {
    fmt::print(stderr, "{}: out of memory\n", program.name);
  } catch (const std::exception& e) {
    fmt::print(stderr, "{}: {}\n", program.name, e.what());
  }
  return 2;
}

}  // namespace hf
