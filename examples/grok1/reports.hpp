// What the program prints besides text: a checkpoint's leaves.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "../program/statistics.hpp"
#include "engine.hpp"
#include "model_files.hpp"

namespace grok1 {

using program::available_bytes, program::size_text;

/// A line for each leaf: file, path, dtype, shape, groups, spec, shard shape and bytes on one device of the mesh.
void print_inspect(const ModelFiles& files, const MeshEntry& mesh);

}  // namespace grok1
