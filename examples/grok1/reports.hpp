// What the program prints besides text: a checkpoint's leaves, the line of statistics.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <string>

#include "engine.hpp"
#include "model_files.hpp"

namespace grok1 {

/// 1234567890 -> "1.15 GiB".
std::string size_text(double bytes);

/// Bytes of memory that the system could still give, and the most that this process has held.
double available_bytes();
double peak_resident_bytes();

/// A line for each leaf: file, path, dtype, shape, groups, spec, shard shape and bytes on one device of the mesh.
void print_inspect(const ModelFiles& files, const MeshEntry& mesh);

struct RunFacts {
  std::string model, mesh;
  double load_seconds = 0;
  int threads = 0;
  Timing timing;
  tess::index_t received_bytes = 0;
};
std::string stats_text(const RunFacts& f);
std::string stats_json(const RunFacts& f);

}  // namespace grok1
