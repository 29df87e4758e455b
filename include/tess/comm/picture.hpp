// Picture: which device holds which part of a tensor, as boxes in text, with or without colours, and as SVG.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <algorithm>
#include <string>
#include <vector>

#include "../sharding/spec_text.hpp"
#include "tiling.hpp"

namespace tess {

namespace detail {

/// "0 4 8", "0-7"; of many the first and the last.
inline std::string device_list(const std::vector<index_t>& devices) {
  std::vector<std::string> items;
  for (std::size_t i = 0, end = 0; i < devices.size(); i = end) {
    for (end = i + 1; end < devices.size() && devices[end] == devices[end - 1] + 1;) ++end;
    if (end - i < 3) end = i + 1;
    items.push_back(std::to_string(devices[i]));
    if (end > i + 1) items.back() += "-" + std::to_string(devices[end - 1]);
  }
  if (items.size() > 8) {
    items.erase(items.begin() + 6, items.end() - 1);
    items.insert(items.end() - 1, "…");
  }
  std::string text;
  for (const std::string& item : items) text += (text.empty() ? "" : " ") + item;
  return text;
}

/// Columns that a text takes on the screen: the characters of UTF-8.
inline std::size_t width_of(const std::string& text) {
  return static_cast<std::size_t>(
      std::count_if(text.begin(), text.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xC0u) != 0x80u; }));
}

/// Tiles side by side that are drawn: all, or the first and the last with a gap (-1) between.
inline std::vector<index_t> shown_of(index_t count) {
  constexpr index_t most = 16;
  std::vector<index_t> shown;
  for (index_t i = 0; i < count; ++i)
    if (count <= most || i < most - 2 || i == count - 1) shown.push_back(i);
    else if (shown.back() != -1) shown.push_back(-1);
  return shown;
}

/// A colour of the terminal's 6 x 6 x 6 cube, light enough for black letters.
struct Colour {
  int code = 0;

  static Colour of_tile(index_t tile) {
    constexpr int cube[] = {153, 223, 151, 218, 229, 183, 159, 217, 187, 147, 193, 182, 152, 181, 158, 188};
    return {cube[tile % 16]};
  }
  std::string terminal(const std::string& text) const {
    return "\x1b[30;48;5;" + std::to_string(code) + "m" + text + "\x1b[0m";
  }
  std::string svg() const {
    constexpr int levels[] = {0, 95, 135, 175, 215, 255};
    const int at = code - 16;
    return "rgb(" + std::to_string(levels[at / 36]) + "," + std::to_string(levels[at / 6 % 6]) + "," +
           std::to_string(levels[at % 6]) + ")";
  }
};

}  // namespace detail

/// The tiles of one tensor; in each the devices that hold it. Several numbers in a tile are replicas. Of a pending value
/// the addends stand below one another, with a + (or max, min) before all but the first.
class Picture {
 public:
  Picture(const Tiling& tiles, std::vector<index_t> extents, std::string title)
      : tiles_(tiles), extents_(std::move(extents)), title_(std::move(title)) {}

  const std::string& title() const { return title_; }
  std::string text() const { return drawn(false); }
  std::string coloured() const { return drawn(true); }  // for a terminal of 256 colours
  std::string svg() const;                              // a whole image; no fonts, scripts or links

 private:
  Tiling tiles_;
  std::vector<index_t> extents_;
  std::string title_;

  /// One line for each addend.
  std::vector<std::string> lines_of(index_t sheet, index_t row, index_t column) const {
    constexpr const char* signs[] = {"+ ", "max ", "min "};
    std::vector<std::vector<index_t>> devices(static_cast<std::size_t>(tiles_.addends()));
    for (index_t device = 0; device < tiles_.mesh.devices(); ++device)
      if (tiles_.holds(device, sheet, row, column))
        devices[static_cast<std::size_t>(tiles_.addend(device))].push_back(device);
    std::vector<std::string> lines;
    for (const auto& some : devices)
      lines.push_back((lines.empty() ? "" : signs[static_cast<int>(tiles_.spec.kind)]) + detail::device_list(some));
    return lines;
  }
  std::size_t widest() const {
    std::size_t width = 1;
    for (const index_t s : detail::shown_of(tiles_.sheets))
      for (const index_t r : detail::shown_of(tiles_.rows))
        for (const index_t c : detail::shown_of(tiles_.columns))
          if (s >= 0 && r >= 0 && c >= 0)
            for (const std::string& line : lines_of(s, r, c)) width = std::max(width, detail::width_of(line));
    return width;
  }
  detail::Colour colour(index_t sheet, index_t row, index_t column) const {
    return detail::Colour::of_tile((sheet * tiles_.rows + row) * tiles_.columns + column);
  }

  /// "0:2048", the elements of one shard of dimension d.
  std::string range(int d, index_t shard) const {
    const index_t size = extents_[static_cast<std::size_t>(d)] / tiles_.shards(d);
    return std::to_string(shard * size) + ":" + std::to_string((shard + 1) * size);
  }
  /// "[0:2, :, :]", where the tiles of a sheet lie in the other dimensions.
  std::string slice_of(index_t sheet) const {
    std::string text = "[";
    for (int d = 0; d < tiles_.spec.rank; ++d) {
      const bool whole = d == tiles_.row_dim || d == tiles_.column_dim || tiles_.shards(d) == 1;
      text += (d ? ", " : "") + (whole ? ":" : range(d, tiles_.shard_on_sheet(d, sheet)));
    }
    return text + "]";
  }

  std::string drawn(bool coloured) const;
  std::string tiles_of_sheet(index_t sheet, std::size_t width, bool coloured) const;
  std::string svg_of_sheet(index_t sheet, index_t left, index_t top, index_t width, index_t height) const;
};

inline std::string Picture::drawn(bool coloured) const {
  const auto across = std::min<index_t>(tiles_.columns, 16);
  const std::size_t width = std::max(widest() + 2, static_cast<std::size_t>(40 / across - 1));
  std::string text = title_ + "\n";
  if (tiles_.spec.rank > 2)
    text += "dimension " + std::to_string(tiles_.row_dim) + " down, dimension " + std::to_string(tiles_.column_dim) +
            " across\n";
  for (const index_t s : detail::shown_of(tiles_.sheets)) {
    if (tiles_.sheets > 1) text += (s < 0 ? "⋯" : slice_of(s)) + "\n";
    if (s >= 0) text += tiles_of_sheet(s, width, coloured);
  }
  return text;
}

inline std::string Picture::tiles_of_sheet(index_t sheet, std::size_t width, bool coloured) const {
  const auto rows = detail::shown_of(tiles_.rows), columns = detail::shown_of(tiles_.columns);
  const auto rule = [&](const char* left, const char* cross, const char* right) {
    std::string line = left;
    for (std::size_t c = 0; c < columns.size(); ++c) {
      if (c > 0) line += cross;
      for (std::size_t i = 0; i < (columns[c] < 0 ? 3 : width); ++i) line += "─";
    }
    return line + right + "\n";
  };
  std::string text = rule("┌", "┬", "┐");
  for (std::size_t r = 0; r < rows.size(); ++r) {
    if (r > 0) text += rule("├", "┼", "┤");
    for (std::size_t line = 0; line < (rows[r] < 0 ? 1 : static_cast<std::size_t>(tiles_.addends())); ++line) {
      for (const index_t c : columns) {
        const bool gap = rows[r] < 0 || c < 0;
        std::string cell = gap ? " ⋯" : " " + lines_of(sheet, rows[r], c)[line];
        cell.append((c < 0 ? 3 : width) - detail::width_of(cell), ' ');
        text += "│" + (coloured && !gap ? colour(sheet, rows[r], c).terminal(cell) : cell);
      }
      text += "│\n";
    }
  }
  return text + rule("└", "┴", "┘");
}

namespace detail {
/// The name of a tag may be that of a template: "Stage<2>".
inline std::string escaped(const std::string& text) {
  std::string safe;
  for (const char c : text)
    if (c == '<') safe += "&lt;";
    else if (c == '&') safe += "&amp;";
    else safe += c;
  return safe;
}
/// An element of an SVG, with its attributes as they stand.
inline std::string svg_text(index_t x, index_t y, const std::string& attributes, const std::string& text) {
  return "<text x=\"" + std::to_string(x) + "\" y=\"" + std::to_string(y) + "\"" + attributes + ">" + text +
         "</text>\n";
}
inline std::string svg_box(index_t x, index_t y, index_t width, index_t height, const std::string& attributes) {
  return "<rect x=\"" + std::to_string(x) + "\" y=\"" + std::to_string(y) + "\" width=\"" + std::to_string(width) +
         "\" height=\"" + std::to_string(height) + "\"" + attributes + "/>\n";
}
inline std::string svg_line(index_t x, index_t y, index_t width) {
  return "<path d=\"M" + std::to_string(x) + " " + std::to_string(y) + "h" + std::to_string(width) +
         "\" stroke=\"#445\" stroke-dasharray=\"3 3\"/>\n";
}
inline constexpr index_t letter_width = 8, line_height = 18;  // of 13 px monospace, with some room
}  // namespace detail

inline std::string Picture::svg() const {
  using detail::letter_width, detail::line_height;
  const auto across = static_cast<index_t>(detail::shown_of(tiles_.columns).size()),
             down = static_cast<index_t>(detail::shown_of(tiles_.rows).size());
  index_t label = 0, heading = 0;  // the longest range beside a row, and above a column
  for (index_t r = 0; tiles_.row_dim >= 0 && r < tiles_.rows; ++r)
    label = std::max(label, static_cast<index_t>(range(tiles_.row_dim, r).size()) * letter_width);
  for (index_t c = 0; tiles_.column_dim >= 0 && c < tiles_.columns; ++c)
    heading = std::max(heading, static_cast<index_t>(range(tiles_.column_dim, c).size()) * letter_width);
  const index_t width =
                    std::max({static_cast<index_t>(widest() + 2) * letter_width, heading + letter_width, 320 / across}),
                height = std::max({tiles_.addends() * line_height + 12, 96 / down, index_t{32}});
  const index_t left = label + 20,
                sheet_height = down * height + 2 * line_height + (tiles_.sheets > 1 ? line_height : 0);
  const index_t whole_width =
                    std::max(left + across * width + 12, static_cast<index_t>(title_.size()) * letter_width + 24),
                whole_height = 32 + static_cast<index_t>(detail::shown_of(tiles_.sheets).size()) * sheet_height;
  const std::string size = std::to_string(whole_width), tall = std::to_string(whole_height);
  std::string image = "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"" + size + "\" height=\"" + tall +
                      "\" viewBox=\"0 0 " + size + " " + tall +
                      "\">\n<style>text { font: 13px ui-monospace, Menlo, Consolas, 'DejaVu Sans Mono', monospace } "
                      ".title { font-weight: bold } .range { font-size: 11px; fill: #667 }</style>\n" +
                      detail::svg_box(0, 0, whole_width, whole_height, " rx=\"6\" fill=\"#fff\"") +
                      detail::svg_text(12, 22, " class=\"title\"", title_);
  index_t top = 32;
  for (const index_t s : detail::shown_of(tiles_.sheets)) {
    const index_t heading_height = tiles_.sheets > 1 ? line_height : 0;
    if (tiles_.sheets > 1) image += detail::svg_text(12, top + 14, "", s < 0 ? "⋯" : slice_of(s));
    if (s >= 0) image += svg_of_sheet(s, left, top + heading_height + line_height, width, height);
    top += sheet_height;
  }
  return image + "</svg>\n";
}

inline std::string Picture::svg_of_sheet(index_t sheet, index_t left, index_t top, index_t width,
                                         index_t height) const {
  using detail::svg_box, detail::svg_line, detail::svg_text;
  const auto rows = detail::shown_of(tiles_.rows), columns = detail::shown_of(tiles_.columns);
  std::string image;
  for (std::size_t c = 0; c < columns.size(); ++c)
    if (columns[c] >= 0 && tiles_.column_dim >= 0)
      image += svg_text(left + static_cast<index_t>(c) * width + width / 2, top - 6,
                        " class=\"range\" text-anchor=\"middle\"", range(tiles_.column_dim, columns[c]));
  for (std::size_t r = 0; r < rows.size(); ++r) {
    const index_t y = top + static_cast<index_t>(r) * height;
    if (rows[r] >= 0 && tiles_.row_dim >= 0)
      image += svg_text(left - 8, y + height / 2 + 4, " class=\"range\" text-anchor=\"end\"",
                        range(tiles_.row_dim, rows[r]));
    for (std::size_t c = 0; c < columns.size(); ++c) {
      const index_t x = left + static_cast<index_t>(c) * width;
      if (rows[r] < 0 || columns[c] < 0) {
        image += svg_text(x + width / 2, y + height / 2 + 4, " text-anchor=\"middle\"", "⋯");
        continue;
      }
      const auto lines = lines_of(sheet, rows[r], columns[c]);
      image += svg_box(x, y, width, height,
                       " fill=\"" + colour(sheet, rows[r], columns[c]).svg() + "\" stroke=\"#445\" stroke-width=\"1\"");
      const auto count = static_cast<index_t>(lines.size());
      for (index_t i = 0; i < count; ++i) {
        const index_t strip = y + i * height / count;
        if (i > 0) image += svg_line(x, strip, width);
        image += svg_text(x + width / 2, strip + height / count / 2 + 5, " text-anchor=\"middle\"",
                          lines[static_cast<std::size_t>(i)]);
      }
    }
  }
  return image;
}

/// "P(data, model) of [4096, 6144]: each device holds [2048, 1536]", and the tiles. Throws Error when a run-time extent
/// does not divide.
template <AnySpec Spec, AnyMesh M, AnyShape S>
Picture picture(M, const Extents<S>& extents) {
  static_assert(detail::sharding_fact<S, Spec, M>::ok);
  constexpr SpecValue spec = spec_value<Spec, M, S::rank>;
  const auto list = [](const auto& e) {
    std::string text = "[";
    for (int d = 0; d < S::rank; ++d) text += (d ? ", " : "") + std::to_string(e[d]);
    return text + "]";
  };
  return {tiling(mesh_value<M>, spec), std::vector<index_t>(extents.array().begin(), extents.array().end()),
          spec_text<M>(spec) + " of " + list(extents) + ": each device holds " + list(local_extents<Spec, M>(extents))};
}
template <AnySpec Spec, AnyMesh M, AnyShape S>
requires(S::is_static) Picture picture(M mesh, S) { return picture<Spec>(mesh, Extents<S>{}); }

}  // namespace tess
