// The numbers of a plan: bills from the meshes, priced on a machine.
// SPDX-License-Identifier: Apache-2.0
#include "plan.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "cpu_rates.hpp"
#include "reports.hpp"

namespace grok1 {

namespace {

constexpr unsigned data_axis = 1;  // position 0 of every mesh of the program

/// The fastest strategy of a phase.
PhasePlan price(const std::vector<PassBill>& passes, index_t tokens, index_t held, const MeshPlan& plan) {
  PhasePlan best;
  for (const PassBill& pass : passes) {
    const tess::Prediction time = tess::predict(pass.cost, plan.machine, plan.mesh->mesh, {.data_axes = data_axis});
    if (!best.pass.strategy.empty() && time.total() >= best.time.total()) continue;
    best.pass = pass;
    best.time = time;
  }
  best.schedule = tess::schedule(best.pass.timeline, plan.machine, plan.mesh->mesh);
  best.bytes_between_hosts = tess::bytes_between_hosts(best.pass.cost, plan.machine, plan.mesh->mesh);
  best.tokens = tokens;
  best.memory = held + best.pass.cost.cache_bytes + best.pass.cost.peak_bytes;
  best.fits = best.memory <= plan.machine.memory;
  return best;
}

/// "transformer/decoder_layer_12/moe/linear/w" -> "moe/linear/w"
std::string without_layer(const std::string& path) {
  const std::string layer = "transformer/decoder_layer_";
  if (!path.starts_with(layer)) return path;
  return path.substr(path.find('/', layer.size()) + 1);
}

std::string percent(double part, double whole) { return fmt::format("{:.0f} %", 100 * part / whole); }

/// "3.2 GiB of weights, caches and activations are read" or the arithmetic, whichever takes longer in all.
std::string what_computing_is(const PhasePlan& p, const tess::Machine& m) {
  const double arithmetic = static_cast<double>(p.pass.cost.flops) / m.flops,
               memory = static_cast<double>(p.pass.cost.memory_bytes()) / m.bandwidth;
  if (arithmetic > memory) return fmt::format("arithmetic ({})", flops_text(static_cast<double>(p.pass.cost.flops)));
  return fmt::format("reading memory ({}, {} of them weights)",
                     size_text(static_cast<double>(p.pass.cost.memory_bytes())),
                     size_text(static_cast<double>(p.pass.cost.weight_bytes())));
}

/// What makes b slower than a, and what it saves: "3 ms more in collectives over data, 1 ms less in computing".
std::string difference(const MeshPlan& a, const MeshPlan& b, Phase phase) {
  const tess::Prediction &x = a[phase].time, &y = b[phase].time;
  struct Term {
    double more;
    const char* text;
  };
  std::array<Term, 3> terms = {Term{y.compute - x.compute, "computing"}, Term{y.data - x.data, "collectives over data"},
                               Term{y.tensor - x.tensor, "collectives over model"}};
  std::sort(terms.begin(), terms.end(), [](const Term& s, const Term& t) { return s.more > t.more; });
  std::string text;
  for (const Term& t : terms)
    if (std::abs(t.more) > terms[0].more / 20)
      text += fmt::format("{}{} {} in {}", text.empty() ? "" : ", ", time_text(std::abs(t.more)),
                          t.more > 0 ? "more" : "less", t.text);
  return text;
}

}  // namespace

tess::Machine find_machine(const std::string& name, index_t devices) {
  if (name == "cpu") return tess::cpu(devices);
  if (const auto rates = read_cpu_rates(name)) return tess::cpu(devices, *rates);
  const std::string wanted = !name.empty() ? name : devices > 8 ? "h100x16" : "h100x8";
  for (const tess::Machine& m : {tess::h100x8, tess::h100x16, tess::h200x8, tess::h200x16}) {
    if (m.name != wanted) continue;
    if (devices > m.devices())
      tess::fail("grok1: ", devices, " devices are more than machine ", std::string(m.name),
                 " has\nChoose another --machine");
    return m;
  }
  tess::fail("grok1: machine \"", wanted, "\" is unknown; choose one of: h100x8 h100x16 h200x8 h200x16 cpu");
}

MeshPlan plan_mesh(const LanguageModelConfig& config, const MeshEntry& mesh, const tess::Machine& machine,
                   const Load& load) {
  MeshPlan plan{.mesh = &mesh, .machine = machine, .load = load};
  try {
    const Bill bill = mesh.bill(config, load);
    plan.rows = bill.rows;
    plan.shards = mesh.shards(config);
    for (const LeafShard& s : plan.shards) plan.parameter_bytes += s.bytes;
    plan.prefill = price(bill.prefill, load.batch * load.prompt, plan.parameter_bytes, plan);
    plan.decode = price(bill.decode, load.batch, plan.parameter_bytes, plan);
  } catch (const tess::Error& e) {
    plan.impossible = e.what();
  }
  return plan;
}

std::vector<MeshPlan> plan_all(const LanguageModelConfig& config, index_t devices, const std::string& machine,
                               const Load& load) {
  std::vector<MeshPlan> plans;
  for (const MeshEntry& e : mesh_table())
    if (e.data * e.model == devices) plans.push_back(plan_mesh(config, e, find_machine(machine, devices), load));
  return plans;
}

const MeshPlan* best_of(const std::vector<MeshPlan>& plans, Phase phase) {
  const MeshPlan* best = nullptr;
  for (const MeshPlan& p : plans)
    if (p.can(phase) && (!best || p[phase].time.total() < best->operator[](phase).time.total())) best = &p;
  return best;
}

std::string explain(const std::vector<MeshPlan>& plans, Phase phase) {
  const MeshPlan* best = best_of(plans, phase);
  std::string text;
  if (!best) {
    text = "No mesh fits into the memory of this machine.";
  } else {
    const PhasePlan& p = (*best)[phase];
    const double total = p.time.total(), moved = p.time.communication();
    text = fmt::format("{} {} fastest: {} {}, {:.0f} tokens/s. ", best->mesh->name,
                       phase == Phase::decode ? "decodes" : "prefills", time_text(total),
                       phase == Phase::decode ? "a step" : "a pass", p.tokens_per_second());
    if (moved > 0)
      text += fmt::format("{} of it is {}, {} are {} collectives. ", percent(p.time.compute, total),
                          what_computing_is(p, best->machine), percent(moved, total), p.pass.cost.collectives);
    else text += fmt::format("All of it is {}: nothing moves. ", what_computing_is(p, best->machine));
    const MeshPlan* second = nullptr;
    for (const MeshPlan& other : plans)
      if (&other != best && other.can(phase) && (!second || other[phase].time.total() < (*second)[phase].time.total()))
        second = &other;
    if (second)
      text += fmt::format("{} takes {:.2f} times as long: {}.", second->mesh->name,
                          (*second)[phase].time.total() / total, difference(*best, *second, phase));
  }
  for (const MeshPlan& other : plans) {
    if (!other.impossible.empty())
      text += fmt::format(" {} is not possible: {}.", other.mesh->name,
                          other.impossible.substr(0, other.impossible.find('\n')));
    else if (!other[phase].fits)
      text += fmt::format(" {} does not fit: {} on a device of {}.", other.mesh->name,
                          size_text(static_cast<double>(other[phase].memory)),
                          size_text(static_cast<double>(other.machine.memory)));
  }
  return text;
}

std::vector<ParameterGroup> parameter_groups(const std::vector<Leaf>& all) {
  std::vector<ParameterGroup> groups;
  for (std::size_t i = 0; i < all.size(); ++i) {
    const std::string name = without_layer(all[i].path);
    const auto known = std::find_if(groups.begin(), groups.end(), [&](const auto& g) { return g.name == name; });
    if (known == groups.end()) groups.push_back({name, i, 1});
    else ++known->layers;
  }
  return groups;
}

std::string machine_text(const MeshPlan& plan) {
  const tess::Machine& m = plan.machine;
  if (m.name != "cpu") return std::string(m.text);
  const auto shards = static_cast<double>(m.devices());
  return fmt::format("{} ({:.0f} GB/s and {:.0f} GFLOP/s in all)", m.text, m.bandwidth * shards / 1e9,
                     m.flops * shards / 1e9);
}

std::string phase_text(const Load& load, Phase phase) {
  const bool one = load.batch == 1;
  if (phase == Phase::prefill)
    return fmt::format("prefill of {}{} tokens", one ? std::string() : fmt::format("{} × ", load.batch), load.prompt);
  return one ? fmt::format("a token at position {}", load.context - 1)
             : fmt::format("{} tokens at position {}", load.batch, load.context - 1);
}

std::string collective_text(tess::Collective kind) {
  constexpr const char* names[] = {"slice",          "all-gather", "all-to-all", "all-reduce",
                                   "reduce-scatter", "permute",    "exchange"};
  return names[static_cast<int>(kind)];
}

std::string event_text(const tess::Event& event, const std::vector<Leaf>& all, const MeshEntry& mesh) {
  std::string text = event.moves() ? collective_text(event.transfer.kind) + " over " + mesh.axes(event.transfer.axes)
                                   : std::string(event.work.verb);
  std::replace(text.begin(), text.end(), '_', ' ');
  if (event.parameter < 0) return text;
  const std::string of = without_layer(all[static_cast<std::size_t>(event.parameter)].path);
  return text + " · " + of.substr(0, of.rfind('/'));
}

std::string time_text(double seconds) {
  if (seconds >= 1) return fmt::format("{:.2f} s", seconds);
  if (seconds >= 1e-3) return fmt::format("{:.2f} ms", seconds * 1e3);
  if (seconds > 0) return fmt::format("{:.1f} µs", seconds * 1e6);
  return "0";
}

std::string flops_text(double f) {
  const char* const units[] = {"FLOP", "kFLOP", "MFLOP", "GFLOP", "TFLOP", "PFLOP"};
  int u = 0;
  for (; f >= 1000 && u < 5; ++u) f /= 1000;
  return fmt::format("{:.3g} {}", f, units[u]);
}

}  // namespace grok1
