// StridedBox: a part of a tensor that goes from one shard into another, as runs of bytes and steps.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <array>

#include "../../comm/movement.hpp"

namespace tess::cuda {

/// A part of a tensor that lies strided in two memories: runs of `run` bytes that lie together in both, and up to
/// max_rank dimensions of them, the inner one first; steps in bytes.
struct StridedBox {
  struct Dim {
    index_t extent = 1, to = 0, from = 0;
  };
  index_t to_offset = 0, from_offset = 0, run = 0;
  int rank = 0;
  std::array<Dim, static_cast<std::size_t>(max_rank)> dims{};

  index_t bytes() const {
    index_t n = run;
    for (int d = 0; d < rank; ++d) n *= dims[static_cast<std::size_t>(d)].extent;
    return n;
  }
  /// Does it lie together where it is read, or written?
  bool is_packed_from() const { return is_packed(&Dim::from); }
  bool is_packed_to() const { return is_packed(&Dim::to); }

  /// The same box, to or from memory where it lies packed, at offset 0.
  StridedBox packed_to() const { return packed(&Dim::to, &StridedBox::to_offset); }
  StridedBox packed_from() const { return packed(&Dim::from, &StridedBox::from_offset); }

 private:
  bool is_packed(index_t Dim::*step) const {
    index_t next = run;
    for (int d = 0; d < rank; ++d) {
      const Dim& dim = dims[static_cast<std::size_t>(d)];
      if (dim.*step != next) return false;
      next *= dim.extent;
    }
    return true;
  }
  StridedBox packed(index_t Dim::*step, index_t StridedBox::*offset) const {
    StridedBox b = *this;
    b.*offset = 0;
    index_t next = run;
    for (int d = 0; d < rank; ++d) {
      Dim& dim = b.dims[static_cast<std::size_t>(d)];
      dim.*step = next, next *= dim.extent;
    }
    return b;
  }
};

/// `part` of a tensor, from a shard that holds `from` to one that holds `to`.
inline StridedBox strided_box(const Box& part, const Box& to, const Box& from, index_t element_bytes) {
  StridedBox b;
  b.run = part.size() == 0 ? 0 : element_bytes;
  index_t to_step = element_bytes, from_step = element_bytes;
  for (int d = part.rank - 1; d >= 0; --d) {
    b.to_offset += (part[d].begin - to[d].begin) * to_step,
        b.from_offset += (part[d].begin - from[d].begin) * from_step;
    const index_t n = part[d].size();
    StridedBox::Dim& last = b.dims[static_cast<std::size_t>(b.rank > 0 ? b.rank - 1 : 0)];
    if (n > 1 && b.run > 0) {
      if (b.rank == 0 && to_step == b.run && from_step == b.run) b.run *= n;
      else if (b.rank > 0 && last.to * last.extent == to_step && last.from * last.extent == from_step) last.extent *= n;
      else b.dims[static_cast<std::size_t>(b.rank++)] = {n, to_step, from_step};
    }
    to_step *= to[d].size(), from_step *= from[d].size();
  }
  return b;
}

}  // namespace tess::cuda
