// deepseek_v3: continues prompts with a DeepSeek-V3 checkpoint as it is published on the Hugging Face hub.
// SPDX-License-Identifier: Apache-2.0
#include "../hf/program.hpp"

namespace hf {
struct DeepseekV3;
}

int main(int argc, char** argv) {
  return hf::run(hf::program_of<hf::DeepseekV3>("deepseek_v3",
                                                "DeepSeek-V3 in C++20: continues prompts, from a checkpoint of the "
                                                "Hugging Face hub, on a simulated mesh."),
                 argc, argv);
}
