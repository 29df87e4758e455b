// qwen2_moe: continues prompts with a Qwen2-MoE checkpoint as it is published on the Hugging Face hub.
// SPDX-License-Identifier: Apache-2.0
#include "../hf/program.hpp"

namespace hf {
struct Qwen2Moe;
}

int main(int argc, char** argv) {
  return hf::run(hf::program_of<hf::Qwen2Moe>("qwen2_moe",
                                              "Qwen2-MoE in C++20: continues prompts, from a checkpoint of the "
                                              "Hugging Face hub, on a simulated mesh."),
                 argc, argv);
}
