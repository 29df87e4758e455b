// gpt_oss: continues prompts with a GPT-OSS checkpoint as transformers saves it, in f32 or bf16.
// SPDX-License-Identifier: Apache-2.0
#include "../hf/program.hpp"

namespace hf {
struct GptOss;
}

int main(int argc, char** argv) {
  return hf::run(hf::program_of<hf::GptOss>("gpt_oss",
                                            "GPT-OSS in C++20: continues prompts, from a checkpoint of the "
                                            "Hugging Face hub, on a simulated mesh."),
                 argc, argv);
}
