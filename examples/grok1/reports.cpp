// The report of a checkpoint, written with fmt.
// SPDX-License-Identifier: Apache-2.0
#include "reports.hpp"

#include <fmt/core.h>

namespace grok1 {

namespace {
/// A parameter as the files hold it.
struct Held {
  std::string file;
  tess::io::DType dtype;
  std::vector<index_t> shape;  // of the parameter
  index_t groups = 0, bytes = 0;
};

/// Reads every parameter of `expected` in the official files.
std::vector<Held> held_officially(const ModelFiles& files, const std::vector<Leaf>& expected) {
  const tess::io::PickleCheckpoint checkpoint(files.checkpoint, leaf_paths(files.config));
  std::vector<Held> all;
  for (const Leaf& e : expected) {
    const tess::io::Leaf leaf = checkpoint.read(e.path);
    if (leaf.weight.shape != e.shape)
      tess::fail(checkpoint.file_of(e.path).string(), ": ", e.path, " should have the shape ",
                 tess::io::to_string(std::span<const index_t>(e.shape)), ", found ", tess::io::describe(leaf.weight),
                 "\nIs this the checkpoint of another configuration, or are two files swapped?");
    all.push_back({checkpoint.file_of(e.path).filename().string(), leaf.weight.dtype, leaf.weight.shape, leaf.groups(),
                   static_cast<index_t>(leaf.weight.data.size() + (leaf.scales ? leaf.scales->data.size() : 0))});
  }
  return all;
}

/// … in a conversion.
std::vector<Held> held_converted(const ModelFiles& files, const std::vector<Leaf>& expected) {
  const tess::io::SafetensorsCheckpoint checkpoint(files.checkpoint);
  const auto names = conversion_names(conversion_of(checkpoint), files.config);
  std::vector<Held> all;
  for (const Leaf& e : expected) {
    const auto named = tess::io::find_name(names, e.path, static_cast<int>(e.shape.size()),
                                           [&](const std::string&) { return files.config.model.num_experts; });
    const auto& first = checkpoint[named.tensors[0]];
    index_t bytes = 0;
    for (const std::string& tensor : named.tensors) bytes += static_cast<index_t>(checkpoint[tensor].data.size());
    all.push_back({tess::io::MappedFile::path_of(first.owner).filename().string(), first.dtype, named.shape, 0, bytes});
  }
  return all;
}
}  // namespace

void print_inspect(const ModelFiles& files, const MeshEntry& mesh) {
  const std::vector<Leaf> expected = leaves(files.config);
  const std::vector<Held> held =
      is_converted(files.checkpoint) ? held_converted(files, expected) : held_officially(files, expected);
  const std::vector<LeafShard> shards = mesh.shards(files.config);
  fmt::print("{}: {} leaves, mesh data={} model={}\n", files.checkpoint.string(), expected.size(), mesh.data,
             mesh.model);
  fmt::print("{:<16} {:<57} {:<5} {:<20} {:>6}  {:<28} {:<20} {:>12}\n", "file", "parameter", "dtype", "shape",
             "groups", "spec", "shard", "device");
  double device = 0, all = 0;
  for (std::size_t i = 0; i < expected.size(); ++i) {
    all += static_cast<double>(held[i].bytes);
    device += static_cast<double>(shards[i].bytes);
    fmt::print("{:<16} {:<57} {:<5} {:<20} {:>6}  {:<28} {:<20} {:>12}\n", held[i].file, expected[i].path,
               tess::io::name_of(held[i].dtype), tess::io::to_string(std::span<const index_t>(held[i].shape)),
               held[i].groups ? std::to_string(held[i].groups) : std::string("-"), shards[i].spec,
               tess::io::to_string(std::span<const index_t>(shards[i].shape)),
               size_text(static_cast<double>(shards[i].bytes)));
  }
  fmt::print("{} in the files; {} on each device\n", size_text(all), size_text(device));
}

}  // namespace grok1
