// Cpu: names are read back, unknown ones are refused with the list of those that work.
// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>
#include <tess/device/host/cpu.hpp>

using namespace tess::host;

TEST_CASE("cpu.names_are_read_back") {
  const auto all = available_cpus();
  CHECK(all.front() == Cpu{});
  CHECK(all.back() == best_cpu());
  for (const Cpu& c : all) CHECK(parse_cpu(name(c)) == c);
  CHECK(name({Isa::avx512, true, true}) == "avx512_vnni_bf16");
}

TEST_CASE("cpu.unknown_names_are_refused") {
  for (const char* text : {"", "sse", "AVX2", "avx512_", "portable_vnni"})
    CHECK_THROWS_AS(parse_cpu(text), tess::Error);
  try {
    parse_cpu("avx1024");
    FAIL("accepted");
  } catch (const tess::Error& error) {
    CHECK(std::string(error.what()).find("TESS_ISA: \"avx1024\"") == 0);
    CHECK(std::string(error.what()).find("portable") != std::string::npos);
  }
}

TEST_CASE("cpu.use_cpu_selects") {
  const Cpu before = cpu();
  for (const Cpu& c : available_cpus()) {
    use_cpu(c);
    CHECK(cpu() == c);
  }
  use_cpu(before);
}
