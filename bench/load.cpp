// Loading: Grok-1's medium model from a checkpoint in the official format that lies in the page cache; time and memory.
// SPDX-License-Identifier: Apache-2.0
//
//   bench_load [folder = tess-medium among the temporary files] [runs = 7]
//
// Writes the checkpoint (2.8 GB) if the folder does not exist. Before each run as much memory is used and given back:
// a virtual machine's first touch of memory costs seconds, which the hypervisor takes and no program can save.
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "../tests/support/pickle_writer.hpp"
#include "medium.hpp"

namespace {
using namespace grok1;
using namespace grok1::bench;

void write_checkpoint(const std::filesystem::path& folder) {
  const std::filesystem::path unfinished = folder.string() + ".part";
  std::filesystem::create_directories(unfinished);
  const std::vector<Leaf> all = leaves(medium);
  grok1::detail::DummyLeaves dummy(0, all);
  for (std::size_t i = 0; i < all.size(); ++i) {
    const io::Leaf leaf = dummy(all[i]);
    std::ofstream file(unfinished / leaf_file(i), std::ios::binary);
    test::PickleWriter writer(file);
    if (leaf.scales)
      writer.write_quantized(leaf.weight.shape, test::from_memory(leaf.weight.data), leaf.scales->shape,
                             test::from_memory(leaf.scales->data));
    else writer.write_f32(leaf.weight.shape, test::from_memory(leaf.weight.data));
    file.close();
    if (!file) fail((unfinished / leaf_file(i)).string(), ": cannot be written; is the disk full?");
  }
  std::filesystem::rename(unfinished, folder);
}

/// Uses memory once and gives it back, so that the system has it at hand.
void touch_memory(index_t bytes) {
  host::Buffer buffer(bytes);
  std::memset(buffer.data(), 1, static_cast<std::size_t>(bytes));
}

double bytes_of_folder(const std::filesystem::path& folder) {
  double bytes = 0;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) bytes += static_cast<double>(entry.file_size());
  return bytes;
}

void measure(const std::filesystem::path& folder, int runs) {
  if (!std::filesystem::exists(folder)) write_checkpoint(folder);
  Host dev;
  std::vector<double> times;
  double peak = 0, kept = 0, weights = 0;
  for (int i = 0; i < runs + 1; ++i) {
    touch_memory(index_t{3} << 30);
    std::ofstream("/proc/self/clear_refs") << 5;  // begin VmHWM anew
    const double before = memory("VmRSS");
    LanguageModel<MediumConfig, OneDevice, Host> model;
    times.push_back(seconds([&] { load_checkpoint(dev, model, folder); }));
    peak = std::max(peak, memory("VmHWM") - before);
    kept = memory("VmRSS") - before;
    weights = static_cast<double>(bytes_of_weights(model));
  }
  const double files = bytes_of_folder(folder);
  std::printf("Grok-1 medium, official format, %.2f GB in files, %.2f GB of packed weights, mesh 1x1, %d threads\n",
              files * 1e-9, weights * 1e-9, dev.pool().size());
  std::printf("  first load  %5.2f s\n", times[0]);
  times.erase(times.begin());
  std::printf("  from cache  %5.2f s (median of %d, best %.2f s): %.1f GB/s of files\n", median(times), runs,
              quantile(times, 0), files * 1e-9 / median(times));
  std::printf("  memory      %.2f GB kept, %.2f GB at the peak: weights + %.1f %%\n", kept * 1e-9, peak * 1e-9,
              100 * (peak / weights - 1));
}
}  // namespace

int main(int argc, char** argv) {
  try {
    const auto folder =
        argc > 1 ? std::filesystem::path(argv[1]) : std::filesystem::temp_directory_path() / "tess-medium";
    measure(folder, std::max(1, argc > 2 ? std::atoi(argv[2]) : 7));
  } catch (const std::exception& error) {
    std::fprintf(stderr, "bench_load: %s\n", error.what());
    return 2;
  }
}
