// The golden tables of tests/data: CSV with a header line, and the specs written in them.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <algorithm>
#include <fstream>
#include <map>
#include <stdexcept>
#include <string>
#include <vector>

#include <tess/sharding/spec_value.hpp>

namespace support {

/// A line of a table, by the names of its columns.
using Row = std::map<std::string, std::string>;

/// Fields in quotes may contain commas, and a quote doubled.
inline std::vector<std::string> fields(const std::string& line) {
  std::vector<std::string> out(1);
  bool quoted = false;
  for (std::size_t i = 0; i < line.size(); ++i) {
    if (line[i] == '"' && quoted && i + 1 < line.size() && line[i + 1] == '"') out.back() += line[++i];
    else if (line[i] == '"') quoted = !quoted;
    else if (line[i] == ',' && !quoted) out.emplace_back();
    else if (line[i] != '\r') out.back() += line[i];
  }
  return out;
}

inline std::vector<Row> read_csv(const std::string& file) {
  std::ifstream in(file);
  if (!in) throw std::runtime_error("no file " + file);
  std::string line;
  std::getline(in, line);
  const std::vector<std::string> names = fields(line);
  std::vector<Row> rows;
  while (std::getline(in, line)) {
    const std::vector<std::string> values = fields(line);
    Row row;
    for (std::size_t i = 0; i < names.size(); ++i) row[names[i]] = values.at(i);
    rows.push_back(std::move(row));
  }
  return rows;
}

/// "P(None, ('data', 'model'))" at full rank, on a mesh whose axes have these names.
inline tess::SpecValue parse_spec(const std::string& text, const std::vector<std::string>& axes) {
  tess::SpecValue spec;
  bool inside = false;  // of a tuple
  for (std::size_t i = text.find('(') + 1; i < text.size();) {
    if (text[i] == '\'') {
      const std::size_t end = text.find('\'', i + 1);
      const auto at = std::find(axes.begin(), axes.end(), text.substr(i + 1, end - i - 1));
      if (at == axes.end()) throw std::runtime_error("an unknown axis in " + text);
      spec[inside ? spec.rank - 1 : spec.rank++].push(static_cast<int>(at - axes.begin()));
      i = end + 1;
    } else {
      if (text[i] == '(') inside = true, ++spec.rank;
      if (text[i] == ')') inside = false;
      if (text[i] == 'N') ++spec.rank;  // None
      i += text[i] == 'N' ? 4 : 1;
    }
  }
  return spec;
}

/// "7/64", or a whole number.
inline double fraction(const std::string& text) {
  const std::size_t slash = text.find('/');
  return std::stod(text) / (slash == text.npos ? 1 : std::stod(text.substr(slash + 1)));
}

/// "8x768x2"; nothing for "scalar".
inline std::vector<tess::index_t> parse_shape(const std::string& text) {
  std::vector<tess::index_t> shape;
  for (std::size_t at = 0; text != "scalar" && at < text.size();) {
    std::size_t used = 0;
    shape.push_back(std::stol(text.substr(at), &used));
    at += used + 1;
  }
  return shape;
}

}  // namespace support
