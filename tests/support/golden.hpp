// The goldens of Grok-1 (tests/data/grok.tar.xz): relative errors over the tokens that count, and their table.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <tess/io/safetensors.hpp>

#include "support/golden_values.hpp"

namespace tess::test {

inline std::filesystem::path grok_folder(std::string_view name) {
  return std::filesystem::path(TESS_TEST_DATA) / "grok" / name;
}

/// One golden.safetensors. Rows are sequences, padded with token 0; only real tokens count in an error.
class Golden {
 public:
  explicit Golden(std::string_view folder)
      : name(folder), file_(grok_folder(folder) / "golden.safetensors"), tokens(ints("forward/tokens")) {
    const auto& shape = file_["forward/tokens"].shape;
    batch = shape[0], length = shape[1];
    for (index_t b = 0; b < batch; ++b) {
      index_t n = 0;
      while (n < length && tokens[static_cast<std::size_t>(b * length + n)] > 0) ++n;
      lengths.push_back(n);
    }
  }

  bool has(std::string_view tensor) const { return file_.has(tensor); }
  Values operator[](std::string_view tensor) const { return io::values_as<f64>(file_[tensor]); }
  std::vector<i32> ints(std::string_view tensor) const { return io::values_as<i32>(file_[tensor]); }

  /// The reference's error against float64 at a stage, over the real tokens (tests/tools/pack_goldens.py took it).
  f64 reference_error(const std::string& stage) const { return (*this)["error/" + stage][0]; }

  /// ‖found − truth‖ / ‖truth‖ at the tokens of which the file keeps float64; `found` [batch, length, ...] has all.
  f64 error_where_kept(const Values& found, const std::string& tensor) const {
    const auto width = static_cast<std::ptrdiff_t>(found.size() / tokens.size());
    Values kept;
    for (const i32 token : ints("truth/positions"))
      kept.insert(kept.end(), found.begin() + token * width, found.begin() + (token + 1) * width);
    return relative_error(kept, (*this)[tensor]);
  }

  /// ‖found − truth‖ / ‖truth‖ over the real tokens of arrays [batch, length, ...].
  f64 error(const Values& found, const Values& truth) const {
    const std::size_t width = truth.size() / tokens.size();
    f64 off = 0, all = found.size() == truth.size() ? 0 : NAN;
    for (std::size_t i = 0; i < truth.size() && !std::isnan(all); ++i)
      if (tokens[i / width] > 0) off += (found[i] - truth[i]) * (found[i] - truth[i]), all += truth[i] * truth[i];
    return std::sqrt(off / all);
  }

  std::string name;

 private:
  io::SafetensorsFile file_;

 public:
  std::vector<i32> tokens;  // [batch, length]
  index_t batch = 0, length = 0;
  std::vector<index_t> lengths;  // [batch], without padding
};

/// Errors against the float64 truth, ours and the reference's, stage by stage. Of the layers' equal stages the table shows
/// the one where ours compares worst. Printed as Markdown at the end, and appended to the file that TESS_ERROR_TABLE names.
class ErrorTable {
 public:
  explicit ErrorTable(std::string title) : title_(std::move(title)) {}
  ErrorTable(const ErrorTable&) = delete;
  ErrorTable& operator=(const ErrorTable&) = delete;
  ~ErrorTable() {
    print(stdout);
    if (const char* path = std::getenv("TESS_ERROR_TABLE"))
      if (std::FILE* file = std::fopen(path, "a")) print(file), std::fclose(file);
  }

  /// Returns ours / reference.
  f64 add(const std::string& stage, f64 ours, f64 reference) {
    const Row row{layer_of(stage), ours, reference};
    sum_of_logs_ += std::log(row.ratio()), ++count_;
    const std::string kind = kind_of(stage);
    const auto [at, is_new] = rows_.emplace(kind, row);
    if (is_new) order_.push_back(kind);
    else if (row.ratio() > at->second.ratio()) at->second = row;
    return row.ratio();
  }
  /// Geometric mean of all ratios.
  f64 mean() const { return std::exp(sum_of_logs_ / count_); }

 private:
  struct Row {
    std::string layer;
    f64 ours, reference;
    f64 ratio() const { return ours / reference; }
  };

  static constexpr std::string_view prefix = "transformer/decoder_layer_";

  static std::string layer_of(const std::string& stage) {
    if (!stage.starts_with(prefix)) return "";
    return stage.substr(prefix.size(), stage.find('/', prefix.size()) - prefix.size());
  }
  static std::string kind_of(const std::string& stage) {
    if (!stage.starts_with(prefix)) return stage;
    const std::size_t slash = stage.find('/', prefix.size());
    return slash == std::string::npos ? "decoder_layer" : stage.substr(slash + 1);
  }

  void print(std::FILE* out) const {
    std::fprintf(out, "\n%s\n\n| stage | worst layer | ours | reference | ratio |\n|---|---|---|---|---|\n",
                 title_.c_str());
    for (const std::string& kind : order_) {
      const Row& r = rows_.at(kind);
      std::fprintf(out, "| %s | %s | %.2e | %.2e | %.3f |\n", kind.c_str(), r.layer.c_str(), r.ours, r.reference,
                   r.ratio());
    }
    std::fprintf(out, "| mean of %.0f | | | | %.3f |\n", count_, mean());
  }

  std::string title_;
  std::map<std::string, Row> rows_;
  std::vector<std::string> order_;
  f64 sum_of_logs_ = 0, count_ = 0;
};

}  // namespace tess::test
