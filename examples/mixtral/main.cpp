// mixtral: continues prompts with a Mixtral checkpoint as it is published on the Hugging Face hub.
// SPDX-License-Identifier: Apache-2.0
#include "../hf/program.hpp"

namespace hf {
struct Mixtral;
}

int main(int argc, char** argv) {
  return hf::run(hf::program_of<hf::Mixtral>("mixtral",
                                             "Mixtral in C++20: continues prompts, from a checkpoint of the "
                                             "Hugging Face hub, on a simulated mesh."),
                 argc, argv);
}
