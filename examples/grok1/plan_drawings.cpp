// The timeline of a pass and the shards of a parameter, drawn.
// SPDX-License-Identifier: Apache-2.0
#include "plan_drawings.hpp"

#include <fmt/core.h>

#include <algorithm>

#include <tess/comm/tiling.hpp>

namespace grok1 {

namespace {

std::string box(double x, double y, double width, double height, const std::string& style, const std::string& tip) {
  return fmt::format(
      R"(<rect x="{:.2f}" y="{:.2f}" width="{:.2f}" height="{:.2f}" class="{}"><title>{}</title></rect>)", x, y,
      std::max(width, 0.35), height, style, escaped(tip));
}
std::string label(double x, double y, const std::string& style, const std::string& text,
                  const char* anchor = "middle") {
  return fmt::format(R"(<text x="{:.2f}" y="{:.2f}" class="{}" text-anchor="{}">{}</text>)", x, y, style, anchor,
                     escaped(text));
}

/// 1, 2 or 5 times a power of ten, about a sixth of the whole.
double tick_of(double whole) {
  double tick = 1e-9;
  for (int i = 0; tick * 6 < whole; ++i) tick *= i % 3 == 1 ? 2.5 : 2;
  return tick;
}

constexpr double page = 1000, margin = 92, width = page - margin - 8;

/// A part of the pass in the bar of the whole.
struct Part {
  std::string text;
  double from, to;
};

}  // namespace

std::string escaped(const std::string& text) {
  std::string out;
  for (const char c : text) {
    if (c == '&') out += "&amp;";
    else if (c == '<') out += "&lt;";
    else if (c == '>') out += "&gt;";
    else if (c == '"') out += "&quot;";
    else out += c;
  }
  return out;
}

tess::Repetition layer_calls(const tess::Timeline& timeline) {
  tess::Repetition longest{0, timeline.events.size(), 1};
  for (const tess::Repetition& r : timeline.repetitions)
    if (r.n > longest.n) longest = r;
  return longest;
}

std::string lane_of(const tess::Event& event) {
  if (!event.moves()) return "compute";
  return (event.transfer.axes & ~1u) == 0 ? "over-data" : "over-model";
}

std::string timeline_svg(const MeshPlan& plan, Phase phase, const std::vector<Leaf>& all) {
  const PhasePlan& p = plan[phase];
  const tess::Timeline& timeline = p.pass.timeline;
  const auto& spans = p.schedule.spans;
  const tess::Repetition layer = layer_calls(timeline);
  const double end = p.schedule.end, from = spans[layer.first].start,
               one = spans[layer.last - 1].start + spans[layer.last - 1].seconds - from,
               layers = one * static_cast<double>(layer.n);
  const auto at = [&](double t) { return margin + width * t / end; };
  std::string svg = fmt::format(R"(<svg viewBox="0 0 {} 232" role="img" aria-label="timeline of {}">)", page,
                                phase == Phase::decode ? "one decode step" : "one prefill");

  // the whole pass
  const std::vector<Part> parts = {{"before", 0, from},
                                   {fmt::format("{} layers, {} each", layer.n, time_text(one)), from, from + layers},
                                   {"after", from + layers, end}};
  svg += label(margin - 10, 33, "lane", "the pass", "end");
  for (const Part& part : parts) {
    const double x = at(part.from), w = at(part.to) - x;
    if (part.to - part.from <= 0) continue;
    svg += box(x, 12, w, 34, "whole", part.text + ": " + time_text(part.to - part.from));
    if (w > 7.5 * static_cast<double>(part.text.size())) svg += label(x + w / 2, 33, "in", part.text);
  }
  for (index_t i = 1; i < layer.n; ++i)
    svg += fmt::format(R"(<path d="M{0:.2f} 12v34" class="cut"/>)", at(from + one * static_cast<double>(i)));
  svg += fmt::format(R"(<path d="M{:.2f} 46L{} 96H{}L{:.2f} 46z" class="zoom"/>)", at(from), margin, margin + width,
                     at(from + one));

  // one layer
  const auto inside = [&](double t) { return margin + width * (t - from) / one; };
  svg += label(margin - 10, 122, "lane", "computing", "end") + label(margin - 10, 166, "lane", "collectives", "end");
  for (std::size_t i = layer.first; i < layer.last; ++i) {
    const tess::Event& e = timeline.events[i];
    const std::string text = event_text(e, all, *plan.mesh);
    const double x = inside(spans[i].start), w = width * spans[i].seconds / one, y = e.moves() ? 144 : 100;
    svg += box(x, y, w, 36, "call " + lane_of(e), text + ": " + time_text(spans[i].seconds));
    const std::size_t dot = text.find(" · ");  // of a parameter its name is enough, of another collective its kind
    const std::string of = dot != text.npos ? text.substr(dot + 4)
                           : e.moves()      ? collective_text(e.transfer.kind)
                                            : text;
    if (w > 5.9 * static_cast<double>(of.size()) + 2) svg += label(x + w / 2, y + 22, "on", of);
  }
  svg += fmt::format(R"(<path d="M{} 188H{}" class="axis"/>)", margin, margin + width);
  const double tick = tick_of(one);
  for (int i = 0; i * tick <= one; ++i) {
    const double x = inside(from + i * tick);
    svg += fmt::format(R"(<path d="M{:.2f} 188v5" class="axis"/>)", x);
    svg += label(x, 207, "tick", i == 0 ? "0" : time_text(i * tick));
  }
  return svg + label(margin + width, 226, "tick", "one layer", "end") + "</svg>";
}

std::string shards_svg(const tess::MeshValue& mesh, const LeafShard& shard) {
  const tess::Tiling t = tess::tiling(mesh, shard.sharding);
  const double across = 184, down = std::clamp(static_cast<double>(t.rows) * 13, 26.0, 168.0);
  std::string svg =
      fmt::format(R"(<svg class="shards" viewBox="0 0 {} {}" style="width:{}px" role="img" aria-label="shards">)",
                  across, down, across);
  const double w = across / static_cast<double>(t.columns), h = down / static_cast<double>(t.rows);
  for (index_t r = 0; r < t.rows; ++r)
    for (index_t c = 0; c < t.columns; ++c) {
      std::string devices;
      index_t first = -1, last = -1, count = 0;
      for (index_t d = 0; d < mesh.devices(); ++d)
        if (t.holds(d, 0, r, c)) {
          devices += (devices.empty() ? "" : " ") + std::to_string(d);
          first = first < 0 ? d : first, last = d, ++count;
        }
      const double x = static_cast<double>(c) * w, y = static_cast<double>(r) * h;
      svg += fmt::format(
          R"(<rect x="{:.2f}" y="{:.2f}" width="{:.2f}" height="{:.2f}" class="tile" style="--h:{}"><title>)"
          R"(device {}</title></rect>)",
          x, y, w, h, t.rows * t.columns == 1 ? 220 : first * 360 / mesh.devices(), devices);
      std::string text = devices;
      if (count > 2 && last - first == count - 1) text = fmt::format("{}–{}", first, last);
      if (static_cast<double>(text.size()) * 5.2 > w) text = count == 1 ? "" : fmt::format("{}…", first);
      if (!text.empty() && static_cast<double>(text.size()) * 5 <= w + 4)
        svg += label(x + w / 2, y + h / 2 + 3.2, w < 14 ? "owner small" : "owner", text);
    }
  return svg + "</svg>";
}

}  // namespace grok1
