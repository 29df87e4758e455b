// `grok1 plan`: every number of the table against an independent computation: golden shards, sizes by hand, formulas.
// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <map>

#include "grok1/plan.hpp"
#include "grok1/reports.hpp"
#include "support/csv.hpp"
#include "support/files.hpp"

namespace {

using namespace grok1;
using tess::h100x16;
using tess::h100x8;
using tess::h200x8;
using tess::test::contains;

constexpr index_t L = 64, E = 6144, F = 32768, HQ = 48, HK = 8, D = 128, V = 131072, experts = 8, selected = 2;

MeshPlan plan_on(const std::string& mesh, const tess::Machine& machine = h100x16, const Load& load = {}) {
  MeshPlan p = plan_mesh(grok_1, find_mesh(mesh), machine, load);
  REQUIRE_MESSAGE(p.impossible.empty(), p.impossible);
  return p;
}

/// The pass of one strategy.
PassBill pass(const std::string& mesh, const Load& load, Phase phase, const std::string& strategy) {
  const Bill bill = find_mesh(mesh).bill(grok_1, load);
  for (const PassBill& p : phase == Phase::prefill ? bill.prefill : bill.decode)
    if (p.strategy == strategy) return p;
  FAIL("no strategy " << strategy << " on " << mesh);
  return {};
}

index_t product(const std::vector<index_t>& shape) {
  index_t n = 1;
  for (const index_t e : shape) n *= e;
  return n;
}

/// Rows of scales that the worst of the shards of `rows` rows touches: by going through all rows.
index_t touched_groups(index_t k, index_t rows, index_t groups) {
  index_t most = 0;
  for (index_t first = 0; first < k; first += rows) {
    std::map<index_t, bool> seen;
    for (index_t row = first; row < first + rows; ++row) seen[row / (k / groups)] = true;
    most = std::max(most, static_cast<index_t>(seen.size()));
  }
  return most;
}

}  // namespace

TEST_CASE("plan: parameters of a device, from JAX's shard shapes of all 770 leaves on seven meshes") {
  const auto rows = support::read_csv(TESS_SHARDING_DATA "/grok1_param_specs.csv");
  for (const std::string mesh : {"1x1", "1x8", "2x4", "4x2", "8x1", "2x8", "1x16"}) {
    index_t expected = 0;
    for (const auto& row : rows) {
      if (row.at("part") == "scales") continue;  // they follow their weights: see below
      auto shard = support::parse_shape(row.at("shard_" + mesh));
      const auto whole = support::parse_shape(row.at("shape"));
      const std::string& path = row.at("path");
      // Eight key/value heads lie over eight devices, each on two neighbours; JAX would cut every head in two.
      if (mesh == "1x16" && (contains(path, "/key/") || contains(path, "/value/"))) shard.back() *= 2;
      if (row.at("part") == "weight") {
        const index_t k = shard[shard.size() - 2],
                      groups = touched_groups(whole[whole.size() - 2], k, std::stol(row.at("scale_groups")));
        expected += product(shard) + product(shard) / k * groups * 2;
      } else {
        expected += product(shard) * (contains(path, "embeddings") ? 2 : 4);
      }
    }
    CAPTURE(mesh);
    CHECK(plan_on(mesh).parameter_bytes == expected);
  }
}

TEST_CASE("plan: caches of a device, by hand") {
  struct Case {
    const char* mesh;
    index_t batch, rows_on_device, heads_on_device;
  };
  for (const Case& c :
       {Case{"1x1", 1, 1, 8}, {"1x8", 3, 3, 1}, {"2x4", 3, 2, 2}, {"8x1", 16, 2, 8}, {"1x16", 2, 2, 1}}) {
    const MeshPlan p = plan_on(c.mesh, h100x16, {.batch = c.batch, .prompt = 16, .context = 1000});
    CAPTURE(c.mesh);
    CHECK(p.decode.pass.cost.cache_bytes == L * 2 * c.rows_on_device * 1000 * c.heads_on_device * D * 2);
    CHECK(p.prefill.pass.cost.cache_bytes == p.decode.pass.cost.cache_bytes);
    CHECK(p.rows % p.mesh->data == 0);
    CHECK(p.rows - c.batch < p.mesh->data);
  }
}

TEST_CASE("plan: memory of a device is what it holds, and the machine decides whether it fits") {
  const MeshPlan p = plan_on("1x8", h100x8);
  CHECK(p.decode.memory == p.parameter_bytes + p.decode.pass.cost.cache_bytes + p.decode.pass.cost.peak_bytes);
  CHECK(p.decode.fits);
  CHECK(!plan_on("1x1", h100x8).decode.fits);
  CHECK(plan_on("1x4", h100x8).decode.fits);  // 73.7 of 74.5 GiB are parameters
  CHECK(!plan_on("1x4", h100x8, {.batch = 4}).decode.fits);
  CHECK(plan_on("1x4", h200x8, {.batch = 4}).decode.fits);
}

TEST_CASE("plan: arithmetic of a token, by hand") {
  // Products of one token: projections, scores and mixing over 8192 keys, router, two experts of three products, head.
  const index_t attention = 2 * E * HQ * D + 2 * E * HK * D + 2 * HQ * D * 8192;
  const index_t token = L * (attention + E * experts + selected * 3 * E * F) + E * V;
  CHECK(plan_on("1x1").decode.pass.cost.flops == 2 * token);
  // Over eight devices all but the routers is divided.
  CHECK(plan_on("1x8").decode.pass.cost.flops == 2 * ((token - L * E * experts) / 8 + L * E * experts));
}

TEST_CASE("plan: weights read for a token, by hand and as gpu.md has it") {
  const index_t read = plan_on("1x8").decode.pass.cost.weight_bytes();
  // int8: projections; two of eight experts; f32: router, norms; bf16: the head, and a row of the table.
  const index_t attention = (2 * E * HQ * D + 2 * E * HK * D) / 8, expert = 3 * E * F / 8;
  const index_t scales = 2 * ((HQ * D + 2 * HK * D) / 8 + E + selected * (2 * F / 8 + E));
  const index_t layer = attention + selected * expert + scales + 4 * E * experts + 4 * 4 * E / 8;
  CHECK(read == L * layer + 4 * E / 8 + 2 * V * E / 8 + 2 * E / 8);
  CHECK(static_cast<double>(layer) == doctest::Approx(162.2e6).epsilon(0.001));  // gpu.md, section 1.3, B = 1
  // Sixteen tokens and more need all experts.
  const index_t all = plan_on("1x8", h100x16, {.batch = 16}).decode.pass.cost.weight_bytes();
  CHECK(all - read == L * (experts - selected) * (expert + 2 * (2 * F / 8 + E)) + 2 * 15 * E / 8);
}

TEST_CASE("plan: memory read for a token includes its keys and values") {
  const PassBill p = pass("1x8", {}, Phase::decode, "stationary");
  index_t caches = 0;
  for (const tess::WorkLine& w : p.cost.work) caches += w.cache_bytes;
  CHECK(caches == L * (2 * 8192 * D * 2 + 2 * D * 2));  // read, and the new ones written
}

TEST_CASE("plan: collectives of a layer on 1x8, by hand") {
  // Sharded activations: two gathers and two scatters of [1, 1, E] f32, and four sums of one f32 for the norms.
  const PassBill p = pass("1x8", {}, Phase::decode, "stationary");
  std::map<tess::Collective, tess::TransferLine> by_kind;
  for (const tess::TransferLine& t : p.cost.transfers) {
    CHECK(t.devices == 8);
    CHECK(t.axes == 2);
    by_kind[t.kind] = t;
  }
  CHECK(by_kind.size() == 3);
  CHECK(by_kind[tess::Collective::all_gather].count == L * 2);
  CHECK(by_kind[tess::Collective::all_gather].bytes == L * 2 * E * 4 / 8 * 7);
  CHECK(by_kind[tess::Collective::reduce_scatter].count == L * 2);
  CHECK(by_kind[tess::Collective::reduce_scatter].bytes == L * 2 * E * 4 / 8 * 7);
  CHECK(by_kind[tess::Collective::all_reduce].count == L * 4 + 2);  // and the final norm, the logits
  CHECK(by_kind[tess::Collective::all_reduce].bytes == (L * 4 + 1) * 7 * 4 + 2 * V * 4 / 8 * 7);
  CHECK(by_kind[tess::Collective::all_reduce].messages == (L * 4 + 2) * 14);
  CHECK(p.cost.collectives == L * 8 + 2);
}

TEST_CASE("plan: gathered weights come over data once, whatever the tokens") {
  // Each layer gathers the other half of what model leaves: projections, three matrices of all experts, a router.
  const index_t others = ((2 * E * HQ * D + 2 * E * HK * D) / 4 + experts * 3 * E * F / 4) / 2;
  for (const index_t batch : {2, 8}) {
    const PassBill p = pass("2x4", {.batch = batch}, Phase::prefill, "gathered");
    index_t over_data = 0;
    for (const tess::TransferLine& t : p.cost.transfers)
      if (t.kind == tess::Collective::all_gather && t.axes == 1) over_data += t.bytes;
    // Scales come along, where a device lacks them, and the routers: less than a thousandth.
    CHECK(static_cast<double>(over_data) == doctest::Approx(static_cast<double>(L * others)).epsilon(0.001));
  }
  const auto bytes = [](const char* strategy, Phase phase) {
    return pass("2x4", {.batch = 8}, phase, strategy).cost.bytes;
  };
  CHECK(bytes("gathered", Phase::prefill) < bytes("stationary", Phase::prefill));
  CHECK(bytes("gathered", Phase::decode) > bytes("stationary", Phase::decode));
}

TEST_CASE("plan: of the strategies the faster one is taken, for each phase") {
  const MeshPlan p = plan_on("2x4", h100x8, {.batch = 8});
  CHECK(p.decode.pass.strategy == "stationary");
  CHECK(p.prefill.pass.strategy == "gathered");
  for (const Phase phase : {Phase::prefill, Phase::decode})
    for (const char* strategy : {"stationary", "gathered"}) {
      const double time = tess::predict(pass("2x4", {.batch = 8}, phase, strategy).cost, h100x8, p.mesh->mesh).total();
      CHECK(p[phase].time.total() <= time * (1 + 1e-12));
    }
}

TEST_CASE("plan: predicted time, by hand from the ledgers") {
  const MeshPlan p = plan_on("1x8", h100x8);
  const tess::Cost& c = p.decode.pass.cost;
  // Everything that a decode step computes waits for memory.
  CHECK(p.decode.time.compute == doctest::Approx(static_cast<double>(c.memory_bytes()) / 3.35e12).epsilon(0.001));
  // NCCL's ring: 6.6 µs a call, 0.6 µs a message, 450 GB/s: 7 messages for a gather or a scatter, 14 for a sum.
  const double calls = 4 * L * (6.6e-6 + 7 * 0.6e-6) + (4 * L + 2) * (6.6e-6 + 14 * 0.6e-6);
  CHECK(p.decode.time.tensor == doctest::Approx(calls + static_cast<double>(c.bytes) / 450e9));
  CHECK(p.decode.time.data == 0);
  CHECK(p.decode.tokens_per_second() == doctest::Approx(1 / p.decode.time.total()));
  CHECK(p.prefill.tokens_per_second() == doctest::Approx(1024 / p.prefill.time.total()));
  CHECK(p.decode.bytes_between_hosts == 0);
  // gpu.md, section 1.5: the floor of a token is 4.04 ms with 0.8 ms of NCCL's best symmetric kernels in it.
  CHECK(p.decode.time.compute == doctest::Approx(3.25e-3).epsilon(0.01));
  CHECK(p.decode.schedule.end == doctest::Approx(p.decode.time.total()).epsilon(1e-9));
  CHECK(p.prefill.schedule.end == doctest::Approx(p.prefill.time.total()).epsilon(1e-9));
}

TEST_CASE("plan: between hosts go the bytes of the axes that span them") {
  const MeshPlan p = plan_on("2x8", h100x16, {.batch = 32});
  index_t over_model = 0, others = 0;
  for (const tess::TransferLine& t : p.decode.pass.cost.transfers) ((t.axes & 1u) ? others : over_model) += t.bytes;
  CHECK(p.decode.bytes_between_hosts == others);  // model's eight are one host
  CHECK(over_model + others == p.decode.pass.cost.bytes);
  const MeshPlan long_axis = plan_on("1x16");
  CHECK(long_axis.decode.bytes_between_hosts == long_axis.decode.pass.cost.bytes);
}

TEST_CASE("plan: all meshes of a size, and the best of them") {
  const auto plans = plan_all(grok_1, 16, "", {.batch = 32});
  std::vector<std::string> names;
  for (const MeshPlan& p : plans) {
    names.push_back(p.mesh->name);
    CHECK(p.machine.name == "h100x16");
  }
  CHECK(names == std::vector<std::string>{"1x16", "2x8", "4x4", "8x2", "16x1"});
  for (const Phase phase : {Phase::prefill, Phase::decode}) {
    const MeshPlan* best = best_of(plans, phase);
    REQUIRE(best);
    for (const MeshPlan& p : plans)
      if (p.can(phase)) CHECK((*best)[phase].time.total() <= p[phase].time.total());
    const std::string text = explain(plans, phase);
    CHECK(text.starts_with(best->mesh->name));
    CHECK(contains(text, time_text((*best)[phase].time.total())));
  }
  CHECK(plan_all(grok_1, 4, "", {}).size() == 3);
  CHECK(plan_all(grok_1, 2, "", {}).size() == 2);
}

TEST_CASE("plan: what does not fit is said, and is never the best") {
  const auto plans = plan_all(grok_1, 2, "h100x8", {});
  for (const MeshPlan& p : plans) CHECK(!p.can(Phase::decode));
  CHECK(best_of(plans, Phase::decode) == nullptr);
  const std::string text = explain(plans, Phase::decode);
  CHECK(contains(text, "No mesh fits into the memory of this machine."));
  CHECK(contains(text, "1x2 does not fit: "));
  CHECK(contains(comparison_text(plans, {Phase::decode}, false), "does not fit"));
}

TEST_CASE("plan: heads that do not divide are said, not thrown") {
  LanguageModelConfig three = grok_1;
  three.model.num_kv_heads = 3;
  const MeshPlan p = plan_mesh(three, find_mesh("1x2"), h100x8, {});
  CHECK(contains(p.impossible, "3 key/value heads"));
  CHECK(!p.can(Phase::decode));
}

TEST_CASE("plan: machines by name") {
  CHECK(find_machine("", 8).name == "h100x8");
  CHECK(find_machine("", 16).name == "h100x16");
  CHECK(find_machine("cpu", 4).bandwidth == doctest::Approx(tess::cpu().bandwidth / 4));
  const tess::Machine named = find_machine("cpu:50:1000", 4);
  CHECK(named.bandwidth == doctest::Approx(50e9 / 4));
  CHECK(named.flops == doctest::Approx(1e12 / 4));
  CHECK(contains(plan_text(grok_1, "", plan_on("1x4", named), false), "50 GB/s and 1000 GFLOP/s in all"));
  CHECK_THROWS_WITH_AS(find_machine("h100x8", 16), doctest::Contains("16 devices are more than machine h100x8 has"),
                       tess::Error);
  CHECK_THROWS_WITH_AS(find_machine("tpu", 1), doctest::Contains("choose one of: h100x8"), tess::Error);
}

TEST_CASE("plan: a table without colours, with the numbers of the plan") {
  const MeshPlan p = plan_on("2x8", h100x16, {.batch = 32});
  const std::string text = plan_text(grok_1, "Grok-1", p, false);
  CHECK(!contains(text, "\033"));
  CHECK(contains(plan_text(grok_1, "Grok-1", p, true), "\033[1m"));
  const auto bytes = [](index_t n) { return size_text(static_cast<double>(n)); };
  for (const PhasePlan* one : {&p.prefill, &p.decode})
    for (const std::string& number :
         {time_text(one->time.total()), time_text(one->time.compute), time_text(one->time.data),
          time_text(one->time.tensor), bytes(one->pass.cost.bytes), bytes(one->bytes_between_hosts),
          flops_text(static_cast<double>(one->pass.cost.flops)), bytes(one->pass.cost.weight_bytes()),
          bytes(one->pass.cost.memory_bytes()), std::to_string(one->pass.cost.collectives) + " collectives"})
      CHECK_MESSAGE(contains(text, number), number);
  for (const std::string& number : {bytes(p.parameter_bytes), bytes(p.decode.pass.cost.cache_bytes)})
    CHECK_MESSAGE(contains(text, number), number);
  CHECK(contains(text, "315.7 billion parameters"));
}

TEST_CASE("plan: the page is whole, balanced, and needs nothing but itself") {
  const auto plans = plan_all(grok_1, 16, "", {.batch = 32});
  const MeshPlan& p = *best_of(plans, Phase::decode);
  const std::string page = plan_page(grok_1, "Grok <1> & co", p, plans);
  for (const char* foreign : {"http:", "https:", "src=", "<script", "@import", "url("}) CHECK(!contains(page, foreign));
  CHECK(contains(page, "prefers-color-scheme: dark"));
  CHECK(contains(page, "Grok &lt;1&gt; &amp; co"));
  CHECK(!contains(page, "<1>"));
  // Every leaf of a layer once, and the two phases.
  CHECK(parameter_groups(leaves(grok_1)).size() == 14);
  for (const ParameterGroup& g : parameter_groups(leaves(grok_1))) CHECK(contains(page, "<code>" + g.name + "</code>"));
  CHECK(contains(page, time_text(p.decode.time.total())));
  CHECK(contains(page, time_text(p.prefill.time.total())));
  // A call of every kind, as often as a layer has it.
  const tess::Timeline& t = p.decode.pass.timeline;
  CHECK(t.repetitions.size() == 1);
  CHECK(t.repetitions[0].n == L);
  CHECK(contains(page, "multi_head_attention/query"));
  // Tags that must be closed are, in order.
  std::vector<std::string> open;
  for (std::size_t at = page.find('<'); at != page.npos; at = page.find('<', at + 1)) {
    const std::size_t end = page.find('>', at);
    const std::string tag = page.substr(at + 1, end - at - 1), name = tag.substr(0, tag.find_first_of(" />", 1));
    const bool is_void = name == "!doctype" || name == "meta" || name == "br" || tag.ends_with('/');
    if (is_void || name == "th" || name == "/th") continue;
    if (tag[0] != '/') {
      open.push_back(name);
    } else {
      REQUIRE(!open.empty());
      REQUIRE(open.back() == tag.substr(1));
      open.pop_back();
    }
  }
  CHECK(open.empty());
}
