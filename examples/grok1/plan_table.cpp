// A plan as tables for a terminal: memory, the two phases side by side, the ledgers; and meshes compared.
// SPDX-License-Identifier: Apache-2.0
#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "plan.hpp"
#include "reports.hpp"

namespace grok1 {

namespace {

struct Colours {
  std::string strong, faint, bar, off;
  static Colours of(bool on) { return on ? Colours{"\033[1m", "\033[2m", "\033[36m", "\033[0m"} : Colours{}; }
};

std::string bytes_text(index_t bytes) { return size_text(static_cast<double>(bytes)); }

/// Columns on the screen, of UTF-8.
std::size_t columns(const std::string& s) {
  return static_cast<std::size_t>(std::count_if(s.begin(), s.end(), [](char c) { return (c & 0xC0) != 0x80; }));
}
std::string left(const std::string& s, std::size_t width) {
  return s + std::string(width > columns(s) ? width - columns(s) : 0, ' ');
}
std::string right(const std::string& s, std::size_t width) {
  return std::string(width > columns(s) ? width - columns(s) : 0, ' ') + s;
}

/// Rows of cells; the first column to the left, the others to the right, each as wide as it must be.
class Table {
 public:
  explicit Table(const Colours& c) : c_(c) {}
  void head(std::vector<std::string> cells) { rows_.push_back({std::move(cells), true}); }
  void row(std::vector<std::string> cells) { rows_.push_back({std::move(cells), false}); }
  std::string text() const {
    std::vector<std::size_t> widths;
    for (const Row& r : rows_)
      for (std::size_t i = 0; i < r.cells.size(); ++i) {
        if (i == widths.size()) widths.push_back(0);
        widths[i] = std::max(widths[i], columns(r.cells[i]));
      }
    std::string text;
    for (const Row& r : rows_) {
      std::string line = "  " + left(r.cells[0], widths[0]);
      for (std::size_t i = 1; i < r.cells.size(); ++i) line += "   " + right(r.cells[i], widths[i]);
      line.erase(line.find_last_not_of(' ') + 1);
      text += (r.is_head ? c_.strong + line + c_.off : line) + "\n";
    }
    return text;
  }

 private:
  struct Row {
    std::vector<std::string> cells;
    bool is_head;
  };
  Colours c_;
  std::vector<Row> rows_;
};

/// Eighths of a column fill a bar smoothly.
std::string bar(double share, int width) {
  constexpr const char* eighths[] = {"", "▏", "▎", "▍", "▌", "▋", "▊", "▉"};
  const int filled = static_cast<int>(std::lround(std::clamp(share, 0.0, 1.0) * width * 8));
  std::string text;
  for (int i = 0; i < filled / 8; ++i) text += "█";
  return left(text + eighths[filled % 8], static_cast<std::size_t>(width));
}

std::string memory_text(const MeshPlan& plan, const Colours& c) {
  const auto capacity = static_cast<double>(plan.machine.memory);
  const PhasePlan& p = plan.prefill.memory > plan.decode.memory ? plan.prefill : plan.decode;
  Table t(c);
  t.head({"memory of a device", "", "of " + size_text(capacity), ""});
  const auto add = [&](const char* what, index_t bytes, const char* note) {
    const double share = static_cast<double>(bytes) / capacity;
    t.row({what, bytes_text(bytes), fmt::format("{:.1f} %", 100 * share),
           left(bar(share, 24), 24) + "  " + left(note, 60)});
  };
  add("parameters", plan.parameter_bytes, "int8 with bf16 scales; embedding bf16; norms and routers f32");
  add("key/value caches", p.pass.cost.cache_bytes, "bf16");
  add("activations at the peak", p.pass.cost.peak_bytes, &p == &plan.prefill ? "f32, in prefill" : "f32, in decoding");
  add("together", p.memory, p.fits ? "" : "does not fit");
  return t.text();
}

std::string phases_text(const MeshPlan& plan, const Colours& c) {
  Table t(c);
  t.head({"one pass, one device", phase_text(plan.load, Phase::prefill), phase_text(plan.load, Phase::decode)});
  const auto add = [&](const char* what, auto value) { t.row({what, value(plan.prefill), value(plan.decode)}); };
  const auto time = [](double seconds, double total) {
    return fmt::format("{} {:>4.0f} %", time_text(seconds), 100 * seconds / total);
  };
  add("products by strategy", [](const PhasePlan& p) { return p.pass.strategy; });
  add("arithmetic", [](const PhasePlan& p) { return flops_text(static_cast<double>(p.pass.cost.flops)); });
  add("weights read", [](const PhasePlan& p) { return bytes_text(p.pass.cost.weight_bytes()); });
  add("all memory read and written", [](const PhasePlan& p) { return bytes_text(p.pass.cost.memory_bytes()); });
  add("moved between devices", [](const PhasePlan& p) {
    return fmt::format("{} collectives, {} received", p.pass.cost.collectives, bytes_text(p.pass.cost.bytes));
  });
  if (plan.machine.hosts > 1)
    add("  of it between hosts", [](const PhasePlan& p) { return bytes_text(p.bytes_between_hosts); });
  add("time: computing", [&](const PhasePlan& p) { return time(p.time.compute, p.time.total()); });
  add("  collectives over data", [&](const PhasePlan& p) { return time(p.time.data, p.time.total()); });
  add("  collectives over model", [&](const PhasePlan& p) { return time(p.time.tensor, p.time.total()); });
  add("  together", [](const PhasePlan& p) { return time_text(p.time.total()) + " 100 %"; });
  add("tokens/s of the whole mesh", [](const PhasePlan& p) { return fmt::format("{:.1f}", p.tokens_per_second()); });
  return t.text();
}

std::string ledger_text(const MeshPlan& plan, Phase phase, const Colours& c) {
  const PhasePlan& p = plan[phase];
  Table t(c);
  t.head({phase == Phase::prefill ? "collectives of prefill" : "collectives of a decode step", "devices", "calls",
          "received", "time"});
  for (const tess::TransferLine& l : p.pass.cost.transfers)
    t.row({collective_text(l.kind) + " over " + plan.mesh->axes(l.axes), std::to_string(l.devices),
           std::to_string(l.count), bytes_text(l.bytes), time_text(tess::seconds(l, plan.machine, plan.mesh->mesh))});
  if (p.pass.cost.transfers.size() == 0) t.row({"none", "", "", "", ""});
  return t.text();
}

std::string work_text(const MeshPlan& plan, Phase phase, const Colours& c) {
  const PhasePlan& p = plan[phase];
  struct Sum {
    std::string verb;
    tess::WorkLine line{};
    double seconds = 0;
  };
  std::vector<Sum> sums;
  for (const tess::WorkLine& l : p.pass.cost.work) {
    auto at = std::find_if(sums.begin(), sums.end(), [&](const Sum& s) { return s.verb == l.verb; });
    if (at == sums.end()) at = sums.insert(at, {std::string(l.verb)});
    tess::WorkLine::each_total([&](auto total) { at->line.*total += l.*total; });
    at->seconds += tess::seconds(l, plan.machine);
  }
  std::sort(sums.begin(), sums.end(), [](const Sum& a, const Sum& b) { return a.seconds > b.seconds; });
  Table t(c);
  t.head({phase == Phase::prefill ? "computing in prefill" : "computing in a decode step", "calls", "arithmetic",
          "memory", "time", "bound by"});
  for (const Sum& s : sums)
    t.row({s.verb, std::to_string(s.line.count), s.line.flops ? flops_text(static_cast<double>(s.line.flops)) : "-",
           bytes_text(s.line.memory_bytes()), time_text(s.seconds),
           static_cast<double>(s.line.flops) / plan.machine.flops >
                   static_cast<double>(s.line.memory_bytes()) / plan.machine.bandwidth
               ? "arithmetic"
               : "memory"});
  return t.text();
}

}  // namespace

std::string plan_text(const LanguageModelConfig& config, const std::string& name, const MeshPlan& plan, bool colours) {
  const Colours c = Colours::of(colours);
  const auto& m = config.model;
  double parameters = 0;
  for (const Leaf& leaf : leaves(config)) {
    double n = 1;
    for (const index_t e : leaf.shape) n *= static_cast<double>(e);
    parameters += n;
  }
  std::string text =
      fmt::format("{}{} on mesh data={} model={}{}: one device of {}, {}\n", c.strong, name, plan.mesh->data,
                  plan.mesh->model, c.off, plan.mesh->data * plan.mesh->model, machine_text(plan));
  text += fmt::format(
      "{}{} layers, emb {}, {}/{} heads of {}, {}ffn {}, vocabulary {}: {:.1f} billion parameters{}\n", c.faint,
      m.num_layers, m.emb_size, m.num_q_heads, m.num_kv_heads, m.key_size,
      m.is_moe() ? fmt::format("{} experts top-{}, ", m.num_experts, m.num_selected_experts) : std::string(),
      m.ffn_size(), config.vocab_size, parameters / 1e9, c.off);
  text += fmt::format(
      "{}{} sequence{} of {} tokens{}{}\n\n", c.faint, plan.load.batch, plan.load.batch == 1 ? "" : "s",
      plan.load.context,
      plan.rows == plan.load.batch ? std::string() : fmt::format(", {} rows so that they divide over data", plan.rows),
      c.off);
  text += memory_text(plan, c) + "\n" + phases_text(plan, c) + "\n";
  for (const Phase phase : {Phase::prefill, Phase::decode})
    text += ledger_text(plan, phase, c) + "\n" + work_text(plan, phase, c) + "\n";
  return text +
         fmt::format(
             "{}From the model's own code on the device Dry. Times are the machine's rates by its data sheet, one "
             "call after the other: a bound.{}\n",
             c.faint, c.off);
}

std::string comparison_text(const std::vector<MeshPlan>& plans, const std::vector<Phase>& phases, bool colours) {
  const Colours c = Colours::of(colours);
  std::string text;
  for (const Phase phase : phases) {
    const MeshPlan* best = best_of(plans, phase);
    Table t(c);
    t.head({phase_text(plans[0].load, phase), "rows", "strategy", "time", "tokens/s", "computing", "over data",
            "over model", "received", "between hosts", "memory", ""});
    for (const MeshPlan& p : plans) {
      if (!p.impossible.empty()) {
        t.row({p.mesh->name, "", "", "not possible"});
        continue;
      }
      const PhasePlan& one = p[phase];
      t.row({p.mesh->name, std::to_string(p.rows), one.pass.strategy, time_text(one.time.total()),
             fmt::format("{:.1f}", one.tokens_per_second()), time_text(one.time.compute), time_text(one.time.data),
             time_text(one.time.tensor), bytes_text(one.pass.cost.bytes), bytes_text(one.bytes_between_hosts),
             bytes_text(one.memory),
             &p == best ? "best"
             : one.fits ? ""
                        : "does not fit"});
    }
    text += t.text() + explain(plans, phase) + "\n\n";
  }
  text.pop_back();
  return text;
}

}  // namespace grok1
