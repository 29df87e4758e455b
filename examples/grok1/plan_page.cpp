// A plan as one HTML page: no script, no font, no picture from anywhere else.
// SPDX-License-Identifier: Apache-2.0
#include <fmt/core.h>

#include <algorithm>

#include "plan_drawings.hpp"
#include "reports.hpp"

namespace grok1 {

namespace {

constexpr const char* style = R"css(
:root { color-scheme: light dark; --page: #f6f7f8; --card: #fff; --ink: #1c2127; --faint: #66707c; --line: #dfe3e7;
  --weights: #3b6fd4; --caches: #d99a14; --activations: #2f9e6e; --data: #a04fd0; --model: #e0603f; --track: #e9ecef;
  --tile: 84%; --tile-ink: #22303c; --zoom: #3b6fd414; }
@media (prefers-color-scheme: dark) { :root { --page: #14171a; --card: #1d2125; --ink: #e6e9ec; --faint: #98a2ad;
  --line: #343a41; --weights: #6b9bf2; --caches: #e3b04b; --activations: #57c290; --data: #c58af0; --model: #f08b6e;
  --track: #2b3036; --tile: 34%; --tile-ink: #eef2f5; --zoom: #6b9bf21c; } }
* { box-sizing: border-box }
body { margin: 0; background: var(--page); color: var(--ink); font: 15px/1.5 system-ui, sans-serif }
main { max-width: 1080px; margin: 0 auto; padding: 32px 20px 48px }
h1 { font-size: 26px; margin: 0 0 4px } h2 { font-size: 18px; margin: 0 0 12px } h3 { font-size: 15px; margin: 20px 0 6px } h3::first-letter { text-transform: uppercase }
p { margin: 0 0 10px } .faint, caption { color: var(--faint) }
section { background: var(--card); border: 1px solid var(--line); border-radius: 10px; padding: 18px 20px; margin: 16px 0;
  overflow-x: auto }
.facts { display: grid; grid-template-columns: repeat(auto-fit, minmax(180px, 1fr)); gap: 16px; margin: 16px 0 }
.facts div { background: var(--card); border: 1px solid var(--line); border-radius: 10px; padding: 12px 16px }
.facts b { display: block; font-size: 24px; font-weight: 600; line-height: 1.3 }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; width: 100% }
th { text-align: right; font-weight: 600; color: var(--faint); font-size: 13px; padding: 3px 10px; white-space: nowrap }
td { text-align: right; padding: 3px 10px; border-top: 1px solid var(--line); white-space: nowrap }
th:first-child, td:first-child { text-align: left; padding-left: 0 } td.text, th.text { text-align: left }
th:last-child, td:last-child { padding-right: 0 } tr.best td { font-weight: 600 } td.wide { width: 32% }
.parameters td { padding-top: 6px; padding-bottom: 6px; line-height: 1.35 }
code { font: 13px ui-monospace, "DejaVu Sans Mono", monospace }
.hosts { display: flex; flex-wrap: wrap; gap: 14px }
.host { border: 1px dashed var(--faint); border-radius: 8px; padding: 8px 10px 10px; flex: 1 1 300px }
.devices { display: grid; gap: 8px; margin-top: 6px }
.device { border: 1px solid var(--line); border-radius: 6px; padding: 5px 7px; font-size: 12px; min-width: 0 }
.device b { font-size: 14px } .device span { display: block; font-size: 11px; white-space: nowrap } .bar { display: flex; height: 12px; background: var(--track); border-radius: 3px; overflow: hidden }
.bar i { display: block; height: 100% }
.weights { background: var(--weights) } .caches { background: var(--caches) } .activations { background: var(--activations) }
.compute { background: var(--weights); fill: var(--weights) } .over-data { background: var(--data); fill: var(--data) }
.over-model { background: var(--model); fill: var(--model) }
.key { display: inline-block; width: 11px; height: 11px; border-radius: 2px; margin: 0 5px 0 14px; vertical-align: -1px }
.key:first-child { margin-left: 0 }
svg { display: block; width: 100%; height: auto } svg text { font: 12px system-ui, sans-serif; fill: var(--ink) }
svg .lane, svg .tick { fill: var(--faint) } svg .whole { fill: var(--track); stroke: var(--line) }
svg .cut { stroke: var(--card); stroke-width: .6 } svg .zoom { fill: var(--zoom) } svg .axis { stroke: var(--line) }
svg .call { stroke: var(--card); stroke-width: .5 } svg .on { fill: #fff; font-size: 11px }
@media (prefers-color-scheme: dark) { svg .on { fill: #10151a } }
svg.shards { margin-left: auto } svg .tile { fill: hsl(var(--h) 55% var(--tile)); stroke: var(--card); stroke-width: 1 }
svg .owner { font-size: 9.5px; fill: var(--tile-ink) } svg .small { font-size: 7.5px } details { margin-top: 10px } summary { cursor: pointer; color: var(--faint) }
)css";

std::string bytes_text(index_t bytes) { return size_text(static_cast<double>(bytes)); }
std::string cell(const std::string& text) { return "<td>" + escaped(text) + "</td>"; }
std::string words(const std::string& text) { return "<td class=\"text\">" + escaped(text) + "</td>"; }
std::string part(const char* kind, double share) {
  return fmt::format(R"(<i class="{}" style="width:{:.3f}%"></i>)", kind, 100 * share);
}
std::string key(const char* kind, const std::string& text) {
  return fmt::format(R"(<span class="key {}"></span>{})", kind, escaped(text));
}
std::string shape_text(const std::vector<index_t>& shape) {
  std::string text;
  for (const index_t n : shape) text += (text.empty() ? "" : " × ") + std::to_string(n);
  return text;
}

/// The phase that needs more memory.
const PhasePlan& fuller(const MeshPlan& p) { return p.prefill.memory > p.decode.memory ? p.prefill : p.decode; }

std::string facts(const MeshPlan& plan) {
  const auto fact = [](const char* what, const std::string& value, const std::string& note) {
    return fmt::format("<div>{}<b>{}</b><span class=\"faint\">{}</span></div>", what, escaped(value), escaped(note));
  };
  const PhasePlan& full = fuller(plan);
  return "<div class=\"facts\">" +
         fact("A decode step", time_text(plan.decode.time.total()),
              fmt::format("{:.1f} tokens/s; a device receives {}", plan.decode.tokens_per_second(),
                          bytes_text(plan.decode.pass.cost.bytes))) +
         fact("Prefill", time_text(plan.prefill.time.total()),
              fmt::format("{:.0f} tokens/s; a device receives {}", plan.prefill.tokens_per_second(),
                          bytes_text(plan.prefill.pass.cost.bytes))) +
         fact("Memory of a device", bytes_text(full.memory),
              fmt::format("{:.0f} % of {}{}",
                          100 * static_cast<double>(full.memory) / static_cast<double>(plan.machine.memory),
                          bytes_text(plan.machine.memory), full.fits ? "" : ": does not fit")) +
         fact("Collectives", std::to_string(plan.decode.pass.cost.collectives),
              fmt::format("in a step; {} in prefill", plan.prefill.pass.cost.collectives)) +
         "</div>\n";
}

std::string comparison(const std::vector<MeshPlan>& plans, Phase phase) {
  double slowest = 0;
  for (const MeshPlan& p : plans)
    if (p.impossible.empty()) slowest = std::max(slowest, p[phase].time.total());
  const MeshPlan* best = best_of(plans, phase);
  std::string html = fmt::format(
      "<h3>{}</h3><p>{}</p><table><tr><th>mesh<th class=\"text\">strategy<th>time<th>tokens/s<th>memory<th>received"
      "<th>between hosts<th class=\"text\"></tr>",
      phase_text(plans[0].load, phase), escaped(explain(plans, phase)));
  for (const MeshPlan& p : plans) {
    if (!p.impossible.empty()) {
      html += "<tr>" + cell(p.mesh->name) + "<td class=\"text faint\" colspan=\"7\">not possible</td></tr>";
      continue;
    }
    const PhasePlan& one = p[phase];
    html += &p == best ? "<tr class=\"best\">" : "<tr>";
    html += cell(p.mesh->name) + words(one.pass.strategy) + cell(time_text(one.time.total())) +
            cell(fmt::format("{:.1f}", one.tokens_per_second())) +
            cell(bytes_text(one.memory) + (one.fits ? "" : " ✗")) + cell(bytes_text(one.pass.cost.bytes)) +
            cell(bytes_text(one.bytes_between_hosts)) + "<td class=\"text wide\"><div class=\"bar\">" +
            part("compute", one.time.compute / slowest) + part("over-data", one.time.data / slowest) +
            part("over-model", one.time.tensor / slowest) + "</div></td></tr>";
  }
  return html + "</table>";
}

std::string lanes() {
  return "<p class=\"faint\">" + key("compute", "computing") + key("over-data", "collectives over data") +
         key("over-model", "collectives over model") + "</p>";
}

std::string mesh_section(const MeshPlan& plan) {
  const PhasePlan& full = fuller(plan);
  const auto share = [&](index_t bytes) {
    return static_cast<double>(bytes) / static_cast<double>(std::max(plan.machine.memory, full.memory));
  };
  const std::string bars = part("weights", share(plan.parameter_bytes)) +
                           part("caches", share(full.pass.cost.cache_bytes)) +
                           part("activations", share(full.pass.cost.peak_bytes));
  std::string html = fmt::format(
      "<section><h2>The mesh and the memory of its devices</h2><p class=\"faint\">{}{}{}<span class=\"key\" "
      "style=\"background:var(--track)\"></span>free of {}</p><div class=\"hosts\">",
      key("weights", "parameters " + bytes_text(plan.parameter_bytes)),
      key("caches", "caches " + bytes_text(full.pass.cost.cache_bytes)),
      key("activations", "activations at the peak " + bytes_text(full.pass.cost.peak_bytes)),
      bytes_text(plan.machine.memory));
  const index_t devices = plan.mesh->mesh.devices(), in_host = std::min(devices, plan.machine.devices_per_host);
  const index_t columns = std::min<index_t>({plan.mesh->model > 1 ? plan.mesh->model : in_host, in_host, 4});
  for (index_t host = 0; host * in_host < devices; ++host) {
    html += fmt::format(
        "<div class=\"host\"><span class=\"faint\">host {}</span><div class=\"devices\" "
        "style=\"grid-template-columns:repeat({},1fr)\">",
        host, columns);
    for (index_t d = host * in_host; d < std::min(devices, (host + 1) * in_host); ++d)
      html += fmt::format(
          "<div class=\"device\"><b>{}</b> <span class=\"faint\">data {} · model {}</span><div "
          "class=\"bar\">{}</div></div>",
          d, d / plan.mesh->model, d % plan.mesh->model, bars);
    html += "</div></div>";
  }
  return html + "</div></section>\n";
}

std::string calls_table(const MeshPlan& plan, Phase phase, const std::vector<Leaf>& all) {
  const PhasePlan& p = plan[phase];
  const tess::Repetition layer = layer_calls(p.pass.timeline);
  std::string html = fmt::format(
      "<details><summary>Every call of a layer ({})</summary><table><tr><th>call<th>starts<th>takes<th>arithmetic<th>"
      "memory or received</tr>",
      layer.last - layer.first);
  for (std::size_t i = layer.first; i < layer.last; ++i) {
    const tess::Event& e = p.pass.timeline.events[i];
    html += "<tr>" + cell(event_text(e, all, *plan.mesh)) +
            cell(time_text(p.schedule.spans[i].start - p.schedule.spans[layer.first].start)) +
            cell(time_text(p.schedule.spans[i].seconds)) +
            cell(e.work.flops ? flops_text(static_cast<double>(e.work.flops)) : "–") +
            cell(bytes_text(e.moves() ? e.transfer.bytes : e.work.memory_bytes())) + "</tr>";
  }
  return html + "</table></details>";
}

std::string timeline_section(const MeshPlan& plan, const std::vector<Leaf>& all) {
  std::string html = "<section><h2>Timeline</h2>" + lanes();
  for (const Phase phase : {Phase::decode, Phase::prefill})
    html += fmt::format("<h3>{}: {}</h3>", phase_text(plan.load, phase), time_text(plan[phase].time.total())) +
            timeline_svg(plan, phase, all) + calls_table(plan, phase, all);
  return html + "</section>\n";
}

std::string parameters_section(const MeshPlan& plan, const std::vector<Leaf>& all) {
  std::string html =
      "<section><h2>Parameters and their shards</h2><p class=\"faint\">The tiles of a parameter, over the dimensions "
      "that "
      "are sharded; in each the numbers of the devices that hold it.</p><table class=\"parameters\"><tr><th>parameter, "
      "spec<th class=\"text\">whole, shard<th class=\"text\">kind<th>a device<th>tiles</tr>";
  for (const ParameterGroup& g : parameter_groups(all)) {
    const Leaf& leaf = all[g.leaf];
    const LeafShard& s = plan.shards[g.leaf];
    const std::string kind =
        leaf.quantized() ? fmt::format("int8, {} scale group{}", leaf.groups, leaf.groups == 1 ? "" : "s") : "plain";
    html += "<tr><td><code>" + escaped(g.name) + "</code><br><code class=\"faint\">" + escaped(s.spec) +
            "</code></td>" + "<td class=\"text\">" + shape_text(leaf.shape) + "<br><span class=\"faint\">" +
            shape_text(s.shape) + "</span></td><td class=\"text\">" + kind + "<br><span class=\"faint\">" +
            (g.layers == 1 ? "" : fmt::format("in {} layers", g.layers)) + "</span></td>" +
            cell(bytes_text(s.bytes * g.layers)) + "<td>" + shards_svg(plan.mesh->mesh, s) + "</td></tr>";
  }
  return html + "</table></section>\n";
}

std::string ledger_section(const MeshPlan& plan) {
  std::string html = "<section><h2>Collectives</h2>";
  for (const Phase phase : {Phase::decode, Phase::prefill}) {
    html += fmt::format("<h3>{}</h3><table><tr><th>collective<th>devices<th>calls<th>received<th>one call<th>time</tr>",
                        phase_text(plan.load, phase));
    for (const tess::TransferLine& l : plan[phase].pass.cost.transfers)
      html += "<tr>" + cell(collective_text(l.kind) + " over " + plan.mesh->axes(l.axes)) +
              cell(std::to_string(l.devices)) + cell(std::to_string(l.count)) + cell(bytes_text(l.bytes)) +
              cell(bytes_text(l.bytes / l.count)) + cell(time_text(tess::seconds(l, plan.machine, plan.mesh->mesh))) +
              "</tr>";
    html += "</table>";
    if (plan[phase].pass.cost.transfers.size() == 0) html += "<p class=\"faint\">none</p>";
  }
  return html + "</section>\n";
}

}  // namespace

std::string plan_page(const LanguageModelConfig& config, const std::string& name, const MeshPlan& plan,
                      const std::vector<MeshPlan>& compared) {
  const std::vector<Leaf> all = leaves(config);
  const std::string title = fmt::format("{} on {} × {}", escaped(name), plan.mesh->data, plan.mesh->model);
  std::string html =
      "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" "
      "content=\"width=device-width, initial-scale=1\"><title>" +
      title + "</title><style>" + style + "</style></head>\n<body><main>\n";
  html += fmt::format("<h1>{}</h1><p class=\"faint\">data = {}, model = {} on {}; {} sequence{} of {} tokens{}</p>\n",
                      title, plan.mesh->data, plan.mesh->model, escaped(machine_text(plan)), plan.load.batch,
                      plan.load.batch == 1 ? "" : "s", plan.load.context,
                      plan.rows == plan.load.batch ? "" : fmt::format(", filled up to {} rows", plan.rows));
  html += facts(plan);
  if (compared.size() > 1)
    html += "<section><h2>All meshes of " + std::to_string(plan.mesh->mesh.devices()) + " devices</h2>" + lanes() +
            comparison(compared, Phase::decode) + comparison(compared, Phase::prefill) + "</section>\n";
  html += mesh_section(plan) + timeline_section(plan, all) + parameters_section(plan, all) + ledger_section(plan);
  return html +
         "<p class=\"faint\">Written by <code>grok1 plan</code>: the model's own code, run on a device that stores "
         "nothing. Times are bounds from data sheets, one call after the other.</p>\n</main></body></html>\n";
}

}  // namespace grok1
