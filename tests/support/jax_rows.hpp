// The rows of explicit_ops.csv, JAX's answers to "which sharding has the result", and the tally of ours beside them.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <array>
#include <iomanip>
#include <optional>
#include <ostream>

#include "csv.hpp"

namespace support::jax {

using tess::index_t;
using tess::MeshValue;
using tess::SpecValue;

/// The numbered list of the golden README, "Where JAX is itself questionable": each difference is one of these.
enum class JaxClass : int {
  none,
  hidden_collective,  // accepts, and moves bytes
  hidden_exchange_of_slices,
  hidden_exchange_of_reshape,
  hidden_reduction_of_scalar,
  refuses_refinement,  // refuses, though no bytes need move
  refuses_contraction,
  refuses_gather,
  refuses_reshape,
  refuses_linear,
  refuses_size_one,
  wrong_value,  // wrong values or crashes
  control_flow,
  second_sum,
  late_checks,
};
inline constexpr int jax_classes = 15;

inline const char* title(JaxClass c) {
  constexpr std::array<const char*, jax_classes> titles{
      "no difference",
      "gathers or reduces silently: one-sided contraction, reductions and whole-line functions of a sharded dimension",
      "moves bytes for slice, split, pad, rev, concatenate, ... along a sharded dimension",
      "reshape that merges sharded dimensions: all-to-all",
      "a reduced array times an unreduced scalar: the scalar is all-reduced",
      "refuses what is equal up to refinement, or one operand replicated",
      "refuses contracted dimensions sharded alike, and batch dimensions of which one is replicated",
      "refuses sharded ids into a replicated table, take_along_axis, repeat, tile",
      "refuses local reshapes that neither merge nor split one dimension",
      "refuses linear functions of a pending sum",
      "counts an axis of size 1 as a name",
      "wrong value: a function of a pending sum that is not linear, or reduces twice",
      "shard_map's check ignores control flow",
      "psum of a value already reduced multiplies it again",
      "checks late, or crashes"};
  return titles[static_cast<std::size_t>(c)];
}

/// One row: a question and JAX's answer.
struct JaxRow {
  Row text;  // all columns
  std::string op, params;
  NamedMesh mesh;
  std::vector<std::vector<index_t>> shapes;
  std::vector<SpecValue> operands;
  bool refused = false;
  std::vector<SpecValue> results;                // JAX's; none when refused
  enum { no, yes, unknown } exchange = unknown;  // must bytes move for JAX's result?
  std::vector<std::vector<SpecValue>> local;     // for each result the coarsest specs that need no exchange
  std::optional<SpecValue> out_sharding;         // the caller's wish: the operation, then reshard<out_sharding>
  bool marked = false;  // of a case whose operands are unreduced or reduced: the table does not know what is local

  const MeshValue& on() const { return mesh.value; }
  const std::string& operator[](const char* column) const { return text.at(column); }
};

/// Our answer to a row: the specs of the results, or a refusal. `why` overrides the class that the tally would choose.
struct Answer {
  bool accepted = false;
  std::vector<SpecValue> results;
  JaxClass why = JaxClass::none;
  /// A pending sum in which one device has each element and the others zeros, as in a lookup: `local_specs` does not
  /// know of these. Values are checked where the operation runs.
  bool masked = false;

  static Answer refuse(JaxClass why = JaxClass::none) { return {false, {}, why, false}; }
  static Answer accept(SpecValue one, JaxClass why = JaxClass::none) { return {true, {one}, why, false}; }
  static Answer accept(std::vector<SpecValue> all, JaxClass why = JaxClass::none) {
    return {true, std::move(all), why, false};
  }
};

inline JaxRow parse_row(Row text) {
  JaxRow r;
  r.op = text.at("op"), r.params = text.at("params");
  r.mesh = parse_mesh(text.at("mesh"));
  for (const auto& s : parse_list(text.at("shapes"))) r.shapes.push_back(parse_shape(s));
  const auto spec = [&](const std::string& s) { return parse_spec(s, r.mesh.axes); };
  for (const auto& s : parse_list(text.at("in_specs"))) r.operands.push_back(spec(s));
  r.marked = text.at("local_specs").empty();
  r.refused = text.at("out_spec") == "refused";
  if (!r.refused)
    for (const auto& s : parse_list(text.at("out_spec"))) r.results.push_back(spec(s));
  const std::string& moves = text.at("exchange");
  r.exchange = moves == "yes" ? JaxRow::yes : moves == "no" ? JaxRow::no : JaxRow::unknown;
  for (const auto& item : parse_list(text.at("local_specs"))) {
    r.local.emplace_back();
    if (item == "none") continue;
    for (const auto& s : parse_list(item, " | ")) r.local.back().push_back(spec(s));
  }
  const std::size_t out = r.params.find("out_sharding=");
  if (out != std::string::npos) r.out_sharding = spec(r.params.substr(out + 13));
  r.text = std::move(text);
  return r;
}

/// Read once: 8,109 rows.
inline const std::vector<JaxRow>& all_rows() {
  static const std::vector<JaxRow> rows = [] {
    std::vector<JaxRow> parsed;
    for (auto& row : read_csv(TESS_SHARDING_DATA "/explicit_ops.csv")) parsed.push_back(parse_row(std::move(row)));
    return parsed;
  }();
  return rows;
}

/// A spec as the tables write it; with the mesh's names it finds a row again: `row["in_specs"]`.
inline std::string text_of(const SpecValue& s, const std::vector<std::string>& axes) {
  const auto set = [&](const char* name, unsigned mask) {
    std::vector<std::string> names;
    for (std::size_t a = 0; a < axes.size(); ++a)
      if (mask >> a & 1u) names.push_back("'" + axes[a] + "'");
    std::sort(names.begin(), names.end());
    std::string t;
    for (const auto& n : names) t += (t.empty() ? std::string(name) + "={" : ", ") + n;
    return t.empty() ? t : t + "}";
  };
  std::vector<std::string> entries;
  for (int d = 0; d < s.rank; ++d) {
    std::string e;
    for (int i = 0; i < s[d].count; ++i) e += (i ? ", '" : "'") + axes.at(static_cast<std::size_t>(s[d][i])) + "'";
    entries.push_back(s[d].count == 0 ? "None" : s[d].count == 1 ? e : "(" + e + ")");
  }
  if (s.partial) entries.push_back(set("unreduced", s.partial));
  if (s.partial && s.kind != tess::Reduction::sum)
    entries.push_back(s.kind == tess::Reduction::max ? "kind=max" : "kind=min");
  if (s.reduced) entries.push_back(set("reduced", s.reduced));
  std::string t = "P(";
  for (std::size_t i = 0; i < entries.size(); ++i) t += (i ? ", " : "") + entries[i];
  return t + ")";
}

/// Equal up to axes of size 1; the mark `reduced` counts too.
inline bool same_answer(const MeshValue& m, const SpecValue& a, const SpecValue& b) {
  return a.without(m.trivial()) == b.without(m.trivial());
}

/// Does every device that holds a shard by `fine` find it inside its shard by `coarse`? Then slicing alone leads there.
inline bool refines(const MeshValue& m, const SpecValue& fine, const SpecValue& coarse) {
  const SpecValue f = placement(m, fine), c = placement(m, coarse);
  if (f.rank != c.rank || f.partial != c.partial || f.kind != c.kind) return false;
  for (int d = 0; d < f.rank; ++d) {
    if (f[d].count < c[d].count) return false;
    for (int i = 0; i < c[d].count; ++i)
      if (f[d][i] != c[d][i]) return false;
  }
  return true;
}

/// Are our results specs of `local_specs`, or finer? (Where those are unknown: yes.)
inline bool is_local(const JaxRow& row, const std::vector<SpecValue>& results) {
  if (row.local.empty()) return true;
  if (row.local.size() != results.size()) return false;
  for (std::size_t i = 0; i < results.size(); ++i) {
    bool some = false;
    for (const auto& coarse : row.local[i]) some = some || refines(row.on(), results[i], coarse);
    if (!some) return false;
  }
  return true;
}
inline bool something_is_local(const JaxRow& row) {
  bool all = !row.local.empty();
  for (const auto& specs : row.local) all = all && !specs.empty();
  return all;
}

/// Is this `out_sharding` one that a result so sharded may have? It says where the result goes and which of the sums that
/// arise stay pending; it makes none.
inline bool reshardable(const MeshValue& m, const SpecValue& from, const SpecValue& to) {
  const SpecValue f = placement(m, from), t = placement(m, to);
  return (t.partial & ~f.partial) == 0 && (t.partial == 0 || t.kind == f.kind);
}

enum class Verdict { same, stricter, better, unexplained };

/// Of a row on which we differ: which sentence of the README it falls under.
inline JaxClass class_of(const JaxRow& row) {
  const auto is = [&](std::initializer_list<const char*> ops) {
    return std::any_of(ops.begin(), ops.end(), [&](const char* o) { return row.op == o; });
  };
  const bool contraction = is({"dot_general", "einsum", "matmul"});
  const bool gather = is({"take", "take_at_get", "take_along_axis", "one_hot_times_table", "repeat", "tile"});
  if (!row.refused && row.exchange == JaxRow::yes) {
    if (is({"reshape"})) return JaxClass::hidden_exchange_of_reshape;
    if (is({"slice", "split", "dynamic_slice", "pad", "rev", "concatenate", "rotate_half", "roll", "index", "stack",
            "unstack", "dynamic_update_slice"}))
      return JaxClass::hidden_exchange_of_slices;
    return JaxClass::hidden_collective;
  }
  for (const auto& o : row.operands)
    if (o.used() & row.on().trivial()) return JaxClass::refuses_size_one;
  if (row.marked) return JaxClass::refuses_linear;
  if (contraction) return JaxClass::refuses_contraction;
  if (gather) return JaxClass::refuses_gather;
  if (is({"reshape"})) return JaxClass::refuses_reshape;
  return JaxClass::refuses_refinement;
}

struct Judged {
  Verdict verdict = Verdict::unexplained;
  JaxClass why = JaxClass::none;
};

/// same: equal placement, or both refuse. stricter: we refuse where JAX moves bytes. better: ours needs no exchange where
/// JAX refuses or moves bytes. Differences on marked rows, of which the table does not know what is local, are explained
/// only by a class that the family names.
inline Judged classify(const JaxRow& row, const Answer& ours) {
  const JaxClass why = ours.why == JaxClass::none ? class_of(row) : ours.why;
  const auto explained = [&](Verdict v, bool holds) {
    return holds || ours.why != JaxClass::none ? Judged{v, why} : Judged{};
  };
  const bool local = ours.accepted && is_local(row, ours.results);
  if (ours.accepted && !local && !ours.masked) return {};  // wrong whatever JAX says
  if (row.out_sharding) {
    const bool ok = ours.accepted && reshardable(row.on(), ours.results.at(0), *row.out_sharding);
    if (ok != row.refused) return {Verdict::same, JaxClass::none};
    return ok ? explained(Verdict::better, !row.marked) : explained(Verdict::stricter, row.exchange == JaxRow::yes);
  }
  if (!ours.accepted) {
    if (row.refused) return {Verdict::same, JaxClass::none};
    return explained(Verdict::stricter, row.exchange == JaxRow::yes);
  }
  if (row.refused) return explained(Verdict::better, !row.marked && !row.local.empty());
  bool equal = ours.results.size() == row.results.size();
  for (std::size_t i = 0; equal && i < ours.results.size(); ++i)
    equal = same_answer(row.on(), ours.results[i], row.results[i]);
  if (equal) return {Verdict::same, JaxClass::none};
  return explained(Verdict::better, !row.marked && !row.local.empty());
}

/// Rows of each operation by verdict, and differences by class.
class Tally {
 public:
  struct Counts {
    int rows = 0, same = 0, stricter = 0, better = 0, unexplained = 0;
    int refused_though_local = 0;  // of `same`: JAX refuses, and so do we, though `local_specs` has an answer
  };

  void add(const JaxRow& row, const Answer& ours) {
    const Judged j = classify(row, ours);
    for (Counts* c : {&counts_[row.op], &all_}) {
      ++c->rows;
      ++(j.verdict == Verdict::same       ? c->same
         : j.verdict == Verdict::stricter ? c->stricter
         : j.verdict == Verdict::better   ? c->better
                                          : c->unexplained);
      if (!ours.accepted && row.refused && !row.out_sharding && something_is_local(row)) {
        ++c->refused_though_local;
        if (c == &all_) refused_.push_back(describe(row, ours));
      }
    }
    if (j.verdict == Verdict::unexplained) unexplained_.push_back(describe(row, ours));
    else if (j.why != JaxClass::none) ++classes_[static_cast<std::size_t>(j.why)];
  }

  const Counts& all() const { return all_; }
  const Counts& of(const std::string& op) { return counts_[op]; }
  int of(JaxClass c) const { return classes_[static_cast<std::size_t>(c)]; }
  const std::vector<std::string>& unexplained() const { return unexplained_; }
  const std::vector<std::string>& refused_though_local() const { return refused_; }

  /// "contraction: 1890 rows, 800 same, 352 stricter, 738 better, 0 unexplained"
  std::string line(const std::string& family) const {
    std::ostringstream out;
    out << family << ": " << all_.rows << " rows, " << all_.same << " same, " << all_.stricter << " stricter, "
        << all_.better << " better, " << all_.unexplained << " unexplained";
    if (all_.refused_though_local) out << " (" << all_.refused_though_local << " refused by both though local)";
    return out.str();
  }
  void print_operations(std::ostream& out) const {
    out << std::left << std::setw(24) << "operation" << std::right;
    for (const char* column : {"rows", "same", "stricter", "better", "unexplained"}) out << std::setw(13) << column;
    out << '\n';
    const auto print = [&](const std::string& name, const Counts& c) {
      out << std::left << std::setw(24) << name << std::right;
      for (const int n : {c.rows, c.same, c.stricter, c.better, c.unexplained}) out << std::setw(13) << n;
      out << '\n';
    };
    for (const auto& [op, c] : counts_) print(op, c);
    print("all", all_);
  }
  void print_classes(std::ostream& out) const {
    for (int c = 1; c < jax_classes; ++c)
      if (classes_[static_cast<std::size_t>(c)])
        out << std::setw(6) << classes_[static_cast<std::size_t>(c)] << "  " << std::setw(2) << c << "  "
            << title(static_cast<JaxClass>(c)) << '\n';
  }
  /// The first rows of a list, to read.
  static std::string some(const std::vector<std::string>& lines, std::size_t most = 8) {
    std::string t;
    for (std::size_t i = 0; i < lines.size() && i < most; ++i) t += lines[i] + '\n';
    return t;
  }

 private:
  std::map<std::string, Counts> counts_;
  Counts all_;
  std::array<int, jax_classes> classes_{};
  std::vector<std::string> unexplained_, refused_;

  static std::string describe(const JaxRow& row, const Answer& ours) {
    std::string t = row.op + " [" + row.params + "] on " + row["mesh"] + ", " + row["shapes"] + ": " + row["in_specs"] +
                    " -> JAX " + row["out_spec"] + " (exchange " + row["exchange"] + "), local " + row["local_specs"] +
                    ", ours ";
    if (!ours.accepted) t += "refused";
    for (std::size_t i = 0; i < ours.results.size(); ++i)
      t += (i ? " ; " : "") + text_of(ours.results[i], row.mesh.axes);
    return t;
  }
};

/// All rows that `answer` (JaxRow -> std::optional<Answer>) has an answer to.
template <class F>
Tally tally(F answer) {
  Tally t;
  for (const JaxRow& row : all_rows())
    if (const std::optional<Answer> ours = answer(row)) t.add(row, *ours);
  return t;
}

}  // namespace support::jax
