// ConfigFields: a config.json against the type of a model, field by field; what nobody asked for is refused.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <initializer_list>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "../core/types.hpp"
#include "json.hpp"

namespace tess::io {

/// A field that changes no number of a forward pass, and why not.
struct HarmlessField {
  std::string_view path, why;
};

/// What every model may leave unasked. Source: transformers, configuration_utils.py and the models' configuration_*.py.
inline constexpr HarmlessField harmless_fields[] = {
    {"architectures", "a class of the writer's; model_type decides"},
    {"auto_map", "a class of the writer's"},
    {"_name_or_path", "where the writer had it from"},
    {"_attn_implementation", "another kernel, the same formula"},
    {"_attn_implementation_autoset", "another kernel, the same formula"},
    {"_experts_implementation", "another kernel, the same formula"},
    {"transformers_version", "the writer's"},
    {"dtype", "every tensor names its own; see ConfigFields::dtype()"},
    {"torch_dtype", "the older name of dtype"},
    {"bos_token_id", "of generation"},
    {"eos_token_id", "of generation"},
    {"pad_token_id", "of generation"},
    {"sep_token_id", "of generation"},
    {"use_cache", "a cache changes no logit"},
    {"initial_context_length", "of training; the rotary embedding names its own"},
    {"max_position_embeddings", "how far the model was trained, not a size"},
    {"initializer_range", "of training"},
    {"attention_dropout", "of training"},
    {"hidden_dropout", "of training"},
    {"resid_pdrop", "of training"},
    {"embd_pdrop", "of training"},
    {"router_jitter_noise", "of training"},
    {"router_aux_loss_coef", "of training"},
    {"aux_loss_alpha", "of training"},
    {"seq_aux", "of training"},
    {"output_router_logits", "more results, not others"},
    {"output_attentions", "more results, not others"},
    {"output_hidden_states", "more results, not others"},
    {"return_dict", "another form of the results"},
    {"pretraining_tp", "how the trainer cut its matrices"},
    {"ep_size", "how the trainer spread its experts"},
    {"num_nextn_predict_layers", "layers behind the last, which guess further tokens"},
    {"quantization_config.quant_method", "checked below"},
    {"quantization_config.fmt", "checked below"},
    {"quantization_config.weight_block_size", "checked below"},
    {"quantization_config.activation_scheme", "weights are dequantised; activations are not quantised"},
    {"quantization_config.scale_fmt", "scales are read as they are"},
    {"quantization_config.modules_to_not_convert", "every tensor names its own type"},
};

/// Reads a config.json into the fields of a model's configuration.
///   index_t hidden = dyn;                        // or the number that the model's type has
///   ConfigFields f(path);
///   f("hidden_size", hidden);                    // must be there
///   f("head_dim", width, hidden / heads);        // or else this
///   f.is("hidden_act", "silu");                  // must be this where it is there
///   const auto dense = f.integers("mlp_only_layers");
///   f.check();                                   // throws one Error about everything that does not fit
/// A number that is open (dyn, 0.0, an empty string or std::optional) is set; any other must be what the file says.
/// Whole numbers are at least 1, or 0 where they may be absent.
/// Null is absent. Paths go into objects by dots; of several spellings, {"num_experts", "num_local_experts"}, those
/// that are there must agree. The older spelling of rope_parameters (rope_theta beside rope_scaling, `type` for
/// `rope_type`) is known. check() also refuses every field that was not asked for, unless `harmless_fields` or the
/// model says that it changes no number.
class ConfigFields {
 public:
  /// Spellings of one field: a path or several.
  class Paths {
   public:
    Paths(const char* path) : all_{path} {}         // NOLINT: as a string would
    Paths(const std::string& path) : all_{path} {}  // NOLINT
    Paths(std::initializer_list<const char*> paths) : all_(paths.begin(), paths.end()) {}

    [[nodiscard]] const std::vector<std::string>& all() const { return all_; }

   private:
    std::vector<std::string> all_;
  };

  /// Throws where the file cannot be read or is no JSON object.
  explicit ConfigFields(const std::filesystem::path& path) : ConfigFields(Json::read_file(path), path.string()) {}
  ConfigFields(Json root, std::string name) : root_(std::move(root)), name_(std::move(name)) {
    (void)std::as_const(root_).object();
  }

  template <class T>
  void operator()(const Paths& paths, T& field) {
    read<T>(paths, field, std::nullopt);
  }
  template <class T, class V>
  void operator()(const Paths& paths, T& field, const V& otherwise) {
    read<T>(paths, field, Value<T>(otherwise));
  }

  /// The field, where it is there, must be `expected`: a string, a truth value or a number.
  template <class V>
  void is(const Paths& paths, const V& expected) {
    using T = std::conditional_t<std::is_convertible_v<V, std::string>, std::string, V>;
    each(paths, [&](const Json& json) {
      const auto found = value_of<Value<T>>(json);
      if (!(found == Value<T>(expected))) {
        if (paths.all()[0] == "model_type") other_model_ = problems_.size();
        problem(json.where() + ": \"" + paths.all()[0] + "\" is " + text(found) + ", this model knows only " +
                text(Value<T>(expected)) + ".");
      }
    });
  }

  /// The model says that the field changes none of its numbers; `why` is for the reader of the code.
  void harmless(const Paths& paths, [[maybe_unused]] std::string_view why) {
    each(paths, [](const Json&) {});
  }

  /// Lists; empty where the field is absent.
  std::vector<index_t> integers(const Paths& paths) { return list<index_t>(paths); }
  std::vector<std::string> strings(const Paths& paths) { return list<std::string>(paths); }

  /// Whether the file has the field; it still counts as unasked.
  [[nodiscard]] bool has(const std::string& path) const { return find(root_, path) != nullptr; }

  /// "float32", "bfloat16"; empty where the file does not say.
  [[nodiscard]] std::string dtype() const {
    for (const char* key : {"dtype", "torch_dtype"})
      if (const Json* json = find(root_, key)) return json->string();
    return {};
  }

  /// A line of the model's own about what does not fit.
  void problem(std::string line) { problems_.push_back(std::move(line)); }

  /// Throws one Error with all that does not fit; where "model_type" does not, with that alone.
  void check() {
    check_quantization();
    refuse_unknown(root_, "");
    if (problems_.empty()) return;
    if (other_model_) problems_ = {problems_[*other_model_]};
    constexpr std::size_t most = 40;
    std::string all;
    for (std::size_t i = 0; i < std::min(most, problems_.size()); ++i) all += (i ? "\n  " : "") + problems_[i];
    if (problems_.size() > most) all += "\n  … and " + std::to_string(problems_.size() - most) + " more.";
    problems_.clear();
    fail(all);
  }

 private:
  template <class T>
  struct value_type {
    using type = T;
  };
  template <class T>
  struct value_type<std::optional<T>> {
    using type = T;
  };
  template <class T>
  using Value = std::conditional_t<std::is_integral_v<typename value_type<T>::type> &&
                                       !std::is_same_v<typename value_type<T>::type, bool>,
                                   index_t, typename value_type<T>::type>;

  template <class T>
  void read(const Paths& paths, T& field, const std::optional<Value<T>>& otherwise) {
    std::optional<Value<T>> found;
    const Json* at = nullptr;
    each(paths, [&](const Json& json) {
      const auto value = value_of<Value<T>>(json);
      if constexpr (std::is_same_v<Value<T>, index_t>)
        if (value == 0 && !otherwise) fail(json.where(), ": expected a number from 1 to ", largest, ", found 0.");
      if (at && !(value == *found))
        problem(json.where() + ": \"" + paths.all()[0] + "\" is " + text(value) + ", but " + text(*found) + " on " +
                at->where() + ".");
      found = value, at = &json;
    });
    if (failed_) return;
    if (!at && !otherwise) return problem(name_ + ": the field \"" + paths.all()[0] + "\" is missing.");
    const Value<T> value = at ? *found : *otherwise;
    if (is_open(field)) field = static_cast<T>(value);
    else if (!(static_cast<Value<T>>(known(field)) == value))
      problem((at ? at->where() : name_) + ": \"" + paths.all()[0] + "\" " + (at ? "is " : "is absent, which means ") +
              text(value) + "; the model's type says " + text(static_cast<Value<T>>(known(field))) + ".");
  }

  static constexpr bool is_open(bool) { return false; }
  template <class T>
  static constexpr bool is_open(const std::optional<T>& field) {
    return !field;
  }
  template <class T>
  static constexpr bool is_open(const T& field) {
    if constexpr (std::is_integral_v<T>) return field == static_cast<T>(dyn);
    else if constexpr (std::is_floating_point_v<T>) return field == 0;
    else return field.empty();
  }
  template <class T>
  static constexpr const T& known(const T& field) {
    return field;
  }
  template <class T>
  static constexpr const T& known(const std::optional<T>& field) {
    return *field;
  }

  template <class V>
  static V value_of(const Json& json) {
    if constexpr (std::is_same_v<V, bool>) {
      return json.boolean();
    } else if constexpr (std::is_same_v<V, std::string>) {
      return json.string();
    } else if constexpr (std::is_same_v<V, index_t>) {
      const std::int64_t n = json.integer();
      if (n < 0 || n > largest) fail(json.where(), ": expected a number from 0 to ", largest, ", found ", n, ".");
      return static_cast<index_t>(n);
    } else if constexpr (std::is_floating_point_v<V>) {
      return static_cast<V>(json.number());
    } else {
      V values;
      for (const Json& item : json.array()) values.push_back(value_of<typename V::value_type>(item));
      return values;
    }
  }

  template <class V>
  static std::string text(const V& value) {
    if constexpr (std::is_same_v<V, bool>) {
      return value ? "true" : "false";
    } else if constexpr (std::is_same_v<V, std::string>) {
      return std::string("\"").append(printable(value)).append("\"");
    } else if constexpr (std::is_same_v<V, index_t>) {
      return std::to_string(value);
    } else if constexpr (std::is_floating_point_v<V>) {
      char digits[32];
      for (int precision = 6; precision <= 17; ++precision) {  // as few digits as tell it from others
        std::snprintf(digits, sizeof digits, "%.*g", precision, static_cast<double>(value));
        if (static_cast<V>(std::strtod(digits, nullptr)) == value) break;
      }
      return digits;
    } else {
      std::string list = "[";
      for (const auto& item : value) list += (list.size() > 1 ? ", " : "") + text<typename V::value_type>(item);
      return list + "]";
    }
  }

  template <class T>
  std::vector<T> list(const Paths& paths) {
    std::vector<T> values;
    each(paths, [&](const Json& json) { values = value_of<std::vector<T>>(json); });
    return values;
  }

  /// f(json) for every spelling that is there and not null; what it throws is a problem. All spellings become known.
  template <class F>
  void each(const Paths& paths, F f) {
    failed_ = false;
    for (const std::string& path : paths.all())
      for (const std::string& spelling : spellings(path)) {
        known_.insert(spelling);
        const Json* json = find(root_, spelling);
        if (!json) continue;
        try {
          f(*json);
        } catch (const Error& error) {
          problem(std::string(error.what()) + " This is the field \"" + spelling + "\".");
          failed_ = true;
        }
      }
  }

  /// The path, and how transformers before version 5 wrote it.
  static std::vector<std::string> spellings(const std::string& path) {
    std::vector<std::string> all = {path};
    if (constexpr std::string_view now = "rope_parameters."; path.starts_with(now)) {
      const std::string field = path.substr(now.size());
      all.push_back("rope_scaling." + field);
      if (field == "rope_theta") all.push_back(field);
      if (field == "rope_type") all.push_back("rope_scaling.type");
    }
    return all;
  }

  /// Null where there is nothing, or null.
  static const Json* find(const Json& root, std::string_view path) {
    const Json* at = &root;
    for (std::size_t begin = 0; begin <= path.size();) {
      const std::size_t end = std::min(path.find('.', begin), path.size());
      if (!at->is_object()) return nullptr;
      at = at->find(path.substr(begin, end - begin));
      if (!at || at->is_null()) return nullptr;
      begin = end + 1;
    }
    return at;
  }

  void refuse_unknown(const Json& object, const std::string& prefix) {
    for (const Json::Member& member : object.object()) {
      const std::string path = prefix + member.key;
      const auto is_it = [&](const HarmlessField& field) { return field.path == path; };
      if (member.value.is_null() || known_.contains(path) ||
          std::any_of(std::begin(harmless_fields), std::end(harmless_fields), is_it))
        continue;
      if (member.value.is_object()) refuse_unknown(member.value, path + ".");
      else
        problem(member.value.where() + ": the field \"" + printable(path) +
                "\" is unknown to this model, and could change its numbers.");
    }
  }

  /// Weights in 8 bits are dequantised as they are loaded (io/block_scales.hpp); other methods are refused by name.
  void check_quantization() {
    if (!has("quantization_config")) return;
    const std::size_t before = problems_.size();
    if (!has("quantization_config.quant_method"))
      return problem(name_ + ": \"quantization_config\" names no \"quant_method\".");
    is("quantization_config.quant_method", "fp8");
    if (problems_.size() > before) return;
    is("quantization_config.fmt", "e4m3");
    is("quantization_config.weight_block_size", std::vector<index_t>{128, 128});
    if (!has("quantization_config.weight_block_size"))
      problem(name_ + ": \"quantization_config.weight_block_size\" is missing; scales are read for blocks [128, 128].");
  }

  static constexpr index_t largest = index_t{1} << 24;  // no layer, width or position of a model comes near

  Json root_;
  std::string name_;
  std::set<std::string, std::less<>> known_;
  std::vector<std::string> problems_;
  std::optional<std::size_t> other_model_;  // among them: the file is another model's
  bool failed_ = false;
};

}  // namespace tess::io
