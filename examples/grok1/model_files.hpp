// ModelFiles: which configuration, checkpoint and tokenizer the command line means, checked before anything is loaded.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <filesystem>
#include <string>
#include <vector>

#include <tess/io/checkpoint.hpp>

#include "config_json.hpp"
#include "conversions.hpp"
#include "leaves.hpp"
#include "options.hpp"

namespace grok1 {

struct ModelFiles {
  LanguageModelConfig config;
  std::string name;
  std::filesystem::path checkpoint, tokenizer;  // empty: none
  bool token_ids = false;                       // --tokenizer ids: numbers in and out
};

/// `tiny_folder` is that of the model that comes with the program. Throws Error for files that are missing or do not
/// fit.
inline ModelFiles find_model(const Options& o, const std::filesystem::path& tiny_folder) {
  namespace fs = std::filesystem;
  ModelFiles m;
  m.token_ids = o.tokenizer == "ids";
  if (o.dummy_weights != DummyWeights::none) {
    m.config = o.dummy_weights == DummyWeights::medium_size ? medium : grok_1;
    m.name = o.dummy_weights == DummyWeights::medium_size ? "medium (dummy weights)" : "Grok-1 (dummy weights)";
    if (!o.config.empty()) m.config = read_config(o.config).config;
    if (!o.tokenizer.empty() && !m.token_ids) m.tokenizer = o.tokenizer;
    return m;
  }
  const fs::path folder = o.checkpoint.empty() && o.config.empty() ? tiny_folder : fs::path(o.checkpoint);
  fs::path config = o.config;
  for (const fs::path& beside : {folder / "config.json", folder / ".." / "config.json"}) {
    std::error_code ignored;
    if (config.empty() && !folder.empty() && fs::exists(beside, ignored)) config = beside;
  }
  if (config.empty()) {
    m.config = grok_1;
    m.name = "Grok-1";
  } else if (is_conversion_config(config)) {
    m.config = read_conversion_config(config);
    m.name = fs::weakly_canonical(config).parent_path().filename().string();
  } else {
    const ConfigFile file = read_config(config);
    m.config = file.config;
    m.name = fs::weakly_canonical(config).parent_path().filename().string();
    m.checkpoint = file.checkpoint;
    m.tokenizer = file.tokenizer;
  }
  if (!folder.empty() && (!o.checkpoint.empty() || m.checkpoint.empty())) m.checkpoint = folder;
  if (m.checkpoint.empty()) tess::fail(o.config, ": names no checkpoint; give one with --checkpoint");
  if (m.token_ids) m.tokenizer.clear();
  else if (!o.tokenizer.empty()) m.tokenizer = o.tokenizer;
  for (const fs::path& beside : {m.checkpoint / "tokenizer.model", m.checkpoint / ".." / "tokenizer.model"}) {
    std::error_code ignored;
    if (m.tokenizer.empty() && !m.token_ids && fs::exists(beside, ignored)) m.tokenizer = beside;
  }
  if (is_converted(m.checkpoint)) {
    m.config.quantized = false;
    return m;
  }
  // Whether linear weights are int8 is a fact of the files; config.json does not tell.
  for (const Leaf& leaf : leaves(m.config))
    if (leaf.quantized()) {
      m.config.quantized =
          tess::io::PickleCheckpoint(m.checkpoint, leaf_paths(m.config)).read(leaf.path).scales.has_value();
      break;
    }
  return m;
}

}  // namespace grok1
