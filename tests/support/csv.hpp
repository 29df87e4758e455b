// The golden tables of tests/data: CSV with a header line, and the specs written in them.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <algorithm>
#include <cstring>
#include <fstream>
#include <map>
#include <sstream>
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

/// A mesh as the tables write it, "data=2 model=4", with the names of its axes.
struct NamedMesh {
  std::vector<std::string> axes;
  tess::MeshValue value;
};
inline NamedMesh parse_mesh(const std::string& text) {
  NamedMesh m;
  std::istringstream in(text);
  for (std::string axis; in >> axis;) {
    const std::size_t is = axis.find('=');
    m.axes.push_back(axis.substr(0, is));
    m.value.sizes.at(static_cast<std::size_t>(m.value.rank++)) = std::stol(axis.substr(is + 1));
  }
  return m;
}

/// "P(None, ('data', 'model'), unreduced={'a'}, kind=max, reduced={'b'})" at full rank, on a mesh with these axes.
inline tess::SpecValue parse_spec(const std::string& text, const std::vector<std::string>& axes) {
  tess::SpecValue spec;
  enum { entry, tuple, unreduced, reduced } where = entry;
  const auto next_is = [&](std::size_t i, const char* word) { return text.compare(i, std::strlen(word), word) == 0; };
  for (std::size_t i = text.find('(') + 1; i < text.size();) {
    if (text[i] == '\'') {
      const std::size_t end = text.find('\'', i + 1);
      const auto at = std::find(axes.begin(), axes.end(), text.substr(i + 1, end - i - 1));
      if (at == axes.end()) throw std::runtime_error("an unknown axis in " + text);
      const auto axis = static_cast<int>(at - axes.begin());
      if (where == unreduced) spec.partial |= 1u << axis;
      else if (where == reduced) spec.reduced |= 1u << axis;
      else spec[where == tuple ? spec.rank - 1 : spec.rank++].push(axis);
      i = end + 1;
    } else if (next_is(i, "None")) {
      ++spec.rank, i += 4;
    } else if (next_is(i, "unreduced={")) {
      where = unreduced, i += 11;
    } else if (next_is(i, "reduced={")) {
      where = reduced, i += 9;
    } else if (next_is(i, "kind=")) {
      spec.kind = next_is(i + 5, "max") ? tess::Reduction::max : tess::Reduction::min, i += 8;
    } else {
      if (text[i] == '(') where = tuple, ++spec.rank;
      if (text[i] == ')' || text[i] == '}') where = entry;
      ++i;
    }
  }
  return spec;
}

/// The items of a list, "a ; b".
inline std::vector<std::string> parse_list(const std::string& text, const std::string& separator = " ; ") {
  std::vector<std::string> items;
  for (std::size_t at = 0; !text.empty() && at != text.npos;) {
    const std::size_t end = text.find(separator, at);
    items.push_back(text.substr(at, end == text.npos ? end : end - at));
    at = end == text.npos ? end : end + separator.size();
  }
  return items;
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
