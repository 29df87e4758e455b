// StepInputs: what the host tells a step of a model, in GPU memory at an address that does not change.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <vector>

#include "gpu.hpp"

namespace tess::cuda {

/// A row of a batch as kernels see it: tess::Segment.
struct Row {
  index_t slot = 0, start = 0, count = 0;
};

/// The rows of the batch that is under way. Verbs of all layers are given the same rows: they are uploaded once.
class StepInputs {
 public:
  /// A step on these rows begins, all of whose verbs must be given them: it may be recorded.
  template <class Rows>
  void fix(const Rows& rows) {
    if (!is_current(rows)) set(rows);
    fixed_ = true;
  }
  /// The rows in the memory of a GPU, uploaded unless they are there.
  template <class Rows>
  const Row* rows(Gpu& gpu, const Rows& rows) {
    if (!is_current(rows)) {
      if (fixed_) fail("[replay] the step was given other rows than its verbs are");
      set(rows);
    }
    Uploaded& u = of(gpu);
    if (!u.memory || u.capacity < static_cast<index_t>(rows_.size())) {
      u.capacity = static_cast<index_t>(rows_.size());
      u.memory = gpu.scratch<Row>(u.capacity);
      u.version = 0;
    }
    if (u.version != version_) {
      gpu.upload(u.memory.get(), rows_.data(), static_cast<index_t>(rows_.size() * sizeof(Row)));
      u.version = version_;
    }
    return static_cast<const Row*>(u.memory.get());
  }
  template <class Rows>
  bool is_current(const Rows& rows) const {
    if (static_cast<index_t>(rows_.size()) != rows.size()) return false;
    for (index_t b = 0; b < rows.size(); ++b) {
      const Row& r = rows_[static_cast<std::size_t>(b)];
      if (r.slot != rows[b].slot || r.start != rows[b].start || r.count != rows[b].count) return false;
    }
    return true;
  }

 private:
  struct Uploaded {
    std::shared_ptr<void> memory;
    index_t capacity = 0, version = 0;
  };
  std::vector<Row> rows_;
  index_t version_ = 1;
  bool fixed_ = false;
  std::vector<Uploaded> uploaded_;  // by GPU

  template <class Rows>
  void set(const Rows& rows) {
    rows_.clear();
    for (index_t b = 0; b < rows.size(); ++b) rows_.push_back({rows[b].slot, rows[b].start, rows[b].count});
    ++version_;
  }
  Uploaded& of(const Gpu& gpu) {
    const auto i = static_cast<std::size_t>(gpu.ordinal());
    if (uploaded_.size() <= i) uploaded_.resize(i + 1);
    return uploaded_[i];
  }
};

}  // namespace tess::cuda
