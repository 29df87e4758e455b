// Lines of the table at the end of `ctest -L sharding`: rows of golden files by verdict, and counts of other proofs.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstdio>
#include <string>

namespace support {

namespace detail {
/// One file a line, so that tests may run side by side; tests/tools/sharding_summary.py puts them together.
inline void write_line([[maybe_unused]] const std::string& key, const std::string& line) {
  std::printf("%s\n", line.c_str());
#ifdef TESS_SHARDING_SUMMARY
  std::string file = key;
  for (char& c : file)
    if (c == '/' || c == ' ') c = '_';
  if (std::FILE* out = std::fopen((TESS_SHARDING_SUMMARY "/" + file + ".tsv").c_str(), "w"))
    std::fputs((line + "\n").c_str(), out), std::fclose(out);
#endif
}
}  // namespace detail

/// How many rows of a golden file have our answer the same as the table's, stricter, better, or unexplained.
inline void report_rows(const std::string& golden, long rows, long same, long stricter, long better, long unexplained) {
  std::string line = "rows\t" + golden;
  for (const long n : {rows, same, stricter, better, unexplained}) line += "\t" + std::to_string(n);
  detail::write_line(golden, line);
}

/// Any other proof: "randomised transitions", "20000, seed 7".
inline void report(const std::string& what, const std::string& result) {
  detail::write_line(what, "proof\t" + what + "\t" + result);
}

}  // namespace support
