// qwen3_moe: continues prompts with a Qwen3-MoE checkpoint as it is published on the Hugging Face hub.
// SPDX-License-Identifier: Apache-2.0
#include "../hf/program.hpp"

namespace hf {
struct Qwen3Moe;
}

int main(int argc, char** argv) {
  return hf::run(hf::program_of<hf::Qwen3Moe>("qwen3_moe",
                                              "Qwen3-MoE in C++20: continues prompts, from a checkpoint of the "
                                              "Hugging Face hub, on a simulated mesh."),
                 argc, argv);
}
