// JSON, strictly (RFC 8259): for configuration files and the headers of safetensors files.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <algorithm>
#include <charconv>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "../core/error.hpp"
#include "mapped_file.hpp"
#include "printable.hpp"

namespace tess::io {

/// A JSON value, which knows the file and line it came from: a wrong type or a missing key is an error that says where.
class Json {
 public:
  struct Member;
  using Array = std::vector<Json>;
  using Object = std::vector<Member>;  // sorted by key, no key twice

  /// Parses a whole text. `name` (the file's) begins every message, also those of the accessors below.
  /// Errors: anything that RFC 8259 does not allow, keys that occur twice, numbers beyond a double, invalid UTF-8,
  /// nesting deeper than 64, more than a million values (2^20).
  static Json parse(std::string_view text, std::string_view name);
  static Json read_file(const std::filesystem::path& path);

  [[nodiscard]] bool is_null() const { return std::holds_alternative<std::nullptr_t>(value_); }
  [[nodiscard]] bool is_object() const { return std::holds_alternative<Object>(value_); }
  [[nodiscard]] bool is_array() const { return std::holds_alternative<Array>(value_); }
  [[nodiscard]] bool boolean() const { return get<bool>("true or false"); }
  [[nodiscard]] std::int64_t integer() const { return get<std::int64_t>("an integer"); }
  [[nodiscard]] const std::string& string() const& { return get<std::string>("a string"); }
  [[nodiscard]] const Array& array() const& { return get<Array>("an array"); }
  [[nodiscard]] const Object& object() const& { return get<Object>("an object"); }
  [[nodiscard]] double number() const {  // integers are numbers too
    const auto* whole = std::get_if<std::int64_t>(&value_);
    return whole ? static_cast<double>(*whole) : get<double>("a number");
  }

  /// The member `key` of this object; null where there is none.
  [[nodiscard]] const Json* find(std::string_view key) const&;
  /// The member `key` of this object. Throws where there is none.
  [[nodiscard]] const Json& at(std::string_view key) const& {
    if (const Json* member = find(key)) return *member;
    fail(where(), ": the key \"", key, "\" is missing.");
  }

  // Of a temporary, values and no references: `for (const Json& x : Json::read_file(path).at("key").array())` is safe.
  [[nodiscard]] std::string string() &&;
  [[nodiscard]] Array array() &&;
  [[nodiscard]] Object object() &&;
  [[nodiscard]] Json at(std::string_view key) &&;
  const Json* find(std::string_view key) && = delete;

  /// "config.json, line 7"
  [[nodiscard]] std::string where() const { return *name_ + ", line " + std::to_string(line_); }

 private:
  class Parser;
  using Value = std::variant<std::nullptr_t, bool, std::int64_t, double, std::string, Array, Object>;

  Json(std::shared_ptr<const std::string> name, std::size_t line);

  template <class T>
  const T& get(std::string_view expected) const {
    static constexpr std::string_view kinds[] = {"null",     "true or false", "an integer", "a number",
                                                 "a string", "an array",      "an object"};
    if (const T* value = std::get_if<T>(&value_)) return *value;
    fail(where(), ": expected ", expected, ", found ", kinds[value_.index()], ".");
  }

  Value value_;
  std::shared_ptr<const std::string> name_;
  std::size_t line_;
};

struct Json::Member {
  std::string key;
  Json value;
};

inline Json::Json(std::shared_ptr<const std::string> name, std::size_t line) : name_(std::move(name)), line_(line) {}

/// Recursive descent; every method expects `pos_` at the first byte of what it reads and leaves it behind the last.
class Json::Parser {
 public:
  Parser(std::string_view text, std::string_view name) : text_(text), name_(std::make_shared<std::string>(name)) {}

  Json document() {
    Json root = value(0);
    skip_space();
    if (pos_ != text_.size()) refuse("expected the end of the text");
    return root;
  }

 private:
  static constexpr int max_depth = 64;
  static constexpr std::size_t max_values = std::size_t{1} << 20;  // a file of 100,000 tensors has eight for each

  [[noreturn]] void refuse(std::string_view expected) const {
    const std::string found =
        pos_ < text_.size() ? "'" + printable(text_.substr(pos_, 1)) + "'" : "the end of the text";
    fail(*name_, ", line ", line_, " (byte ", pos_, "): ", expected, ", found ", found, ".");
  }

  void skip_space() {
    for (; pos_ < text_.size(); ++pos_) {
      const char c = text_[pos_];
      if (c == '\n') ++line_;
      else if (c != ' ' && c != '\t' && c != '\r') return;
    }
  }

  bool accept(std::string_view token) {
    if (!text_.substr(pos_).starts_with(token)) return false;
    pos_ += token.size();
    return true;
  }

  Json value(int depth) {
    skip_space();
    if (depth > max_depth) refuse("nesting deeper than 64 is not read");
    if (++values_ > max_values) refuse("more than 1048576 values are not read");
    Json json(name_, line_);
    if (accept("null")) json.value_ = nullptr;
    else if (accept("true")) json.value_ = true;
    else if (accept("false")) json.value_ = false;
    else if (accept("{")) json.value_ = object(depth);
    else if (accept("[")) json.value_ = array(depth);
    else if (pos_ < text_.size() && text_[pos_] == '"') json.value_ = string();
    else json.value_ = number();
    return json;
  }

  Array array(int depth) {
    Array items;
    skip_space();
    if (accept("]")) return items;
    do {
      items.push_back(value(depth + 1));
      skip_space();
    } while (accept(","));
    if (!accept("]")) refuse("expected ',' or ']'");
    return items;
  }

  Object object(int depth) {
    Object members;
    skip_space();
    if (accept("}")) return members;
    do {
      skip_space();
      std::string key = string();
      skip_space();
      if (!accept(":")) refuse("expected ':'");
      members.push_back({std::move(key), value(depth + 1)});
      skip_space();
    } while (accept(","));
    if (!accept("}")) refuse("expected ',' or '}'");
    std::sort(members.begin(), members.end(), [](const Member& a, const Member& b) { return a.key < b.key; });
    const auto equal = [](const Member& a, const Member& b) { return a.key == b.key; };
    if (const auto twice = std::adjacent_find(members.begin(), members.end(), equal); twice != members.end())
      fail(twice->value.where(), ": the key \"", printable(twice->key), "\" occurs twice.");
    return members;
  }

  Value number() {
    const std::size_t first = pos_;
    accept("-");
    if (!accept("0") && digits() == 0) {
      pos_ = first;
      refuse("expected a value");
    }
    const bool whole = pos_ == text_.size() || (text_[pos_] != '.' && text_[pos_] != 'e' && text_[pos_] != 'E');
    if (accept(".") && digits() == 0) refuse("expected a digit after the decimal point");
    if (accept("e") || accept("E")) {
      if (!accept("+")) accept("-");
      if (digits() == 0) refuse("expected the digits of an exponent");
    }
    const char *begin = text_.data() + first, *end = text_.data() + pos_;
    std::int64_t integer = 0;
    if (whole && std::from_chars(begin, end, integer).ec == std::errc{}) return integer;
    double real = 0;
    if (std::from_chars(begin, end, real).ec != std::errc{}) {
      pos_ = first;
      refuse("expected a number that a double can hold");
    }
    return real;
  }

  std::size_t digits() {
    const std::size_t first = pos_;
    while (pos_ < text_.size() && text_[pos_] >= '0' && text_[pos_] <= '9') ++pos_;
    return pos_ - first;
  }

  std::string string() {
    if (!accept("\"")) refuse("expected a string");
    std::string result;
    while (pos_ < text_.size() && text_[pos_] != '"') {
      const auto c = static_cast<unsigned char>(text_[pos_]);
      if (c < 0x20) refuse("a control character in a string must be written as an escape");
      if (c == '\\') escape(result);
      else if (c < 0x80) result += text_[pos_++];
      else utf8(result);
    }
    if (!accept("\"")) refuse("expected '\"'");
    return result;
  }

  void escape(std::string& result) {
    constexpr std::string_view codes = "\"\\/bfnrt", characters = "\"\\/\b\f\n\r\t";
    ++pos_;  // the backslash
    const std::size_t code = pos_ < text_.size() ? codes.find(text_[pos_]) : codes.npos;
    if (code != codes.npos) {
      result += characters[code];
      ++pos_;
      return;
    }
    std::uint32_t point = hex4();
    if (point >= 0xd800 && point < 0xdc00) {
      if (pos_ == text_.size() || text_[pos_] != '\\') refuse("expected the second half of a surrogate pair");
      ++pos_;
      const std::uint32_t low = hex4();
      if (low < 0xdc00 || low > 0xdfff) refuse("the second half of a surrogate pair was expected before");
      point = 0x10000 + ((point - 0xd800) << 10) + (low - 0xdc00);
    } else if (point >= 0xdc00 && point <= 0xdfff) {
      refuse("the second half of a surrogate pair stands alone before");
    }
    append(result, point);
  }

  std::uint32_t hex4() {
    if (!accept("u")) refuse("expected one of \\\" \\\\ \\/ \\b \\f \\n \\r \\t \\u");
    std::uint32_t point = 0;
    const std::string_view code = text_.substr(pos_, 4);
    const auto [end, error] = std::from_chars(code.data(), code.data() + code.size(), point, 16);
    if (error != std::errc{} || code.size() != 4 || end != code.data() + 4) refuse("expected four hexadecimal digits");
    pos_ += 4;
    return point;
  }

  static void append(std::string& result, std::uint32_t point) {
    auto byte = [&](std::uint32_t bits) { result += static_cast<char>(bits); };
    if (point < 0x80) return byte(point);
    if (point < 0x800) byte(0xc0 | (point >> 6));
    else if (point < 0x10000) byte(0xe0 | (point >> 12));
    else byte(0xf0 | (point >> 18));
    if (point >= 0x10000) byte(0x80 | ((point >> 12) & 0x3f));
    if (point >= 0x800) byte(0x80 | ((point >> 6) & 0x3f));
    byte(0x80 | (point & 0x3f));
  }

  /// One multi-byte character: well formed, in its shortest form, no surrogate, at most U+10FFFF.
  void utf8(std::string& result) {
    const auto lead = static_cast<unsigned char>(text_[pos_]);
    const std::size_t length = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
    std::uint32_t point = lead & (0x7fu >> length);
    bool valid = lead >= 0xc2 && lead <= 0xf4 && text_.size() - pos_ >= length;
    for (std::size_t i = 1; valid && i < length; ++i) {
      const auto next = static_cast<unsigned char>(text_[pos_ + i]);
      valid = (next & 0xc0) == 0x80;
      point = (point << 6) | (next & 0x3f);
    }
    constexpr std::uint32_t shortest[] = {0, 0, 0x80, 0x800, 0x10000};
    if (!valid || point < shortest[length] || point > 0x10ffff || (point >= 0xd800 && point <= 0xdfff))
      refuse("expected UTF-8");
    result += text_.substr(pos_, length);
    pos_ += length;
  }

  std::string_view text_;
  std::shared_ptr<const std::string> name_;
  std::size_t pos_ = 0, line_ = 1, values_ = 0;
};

inline Json Json::parse(std::string_view text, std::string_view name) { return Parser(text, name).document(); }

inline Json Json::read_file(const std::filesystem::path& path) {
  const MappedFile file(path);
  const auto bytes = file.bytes();
  return parse({reinterpret_cast<const char*>(bytes.data()), bytes.size()}, path.string());
}

inline std::string Json::string() && { return std::as_const(*this).string(); }
inline Json::Array Json::array() && { return std::as_const(*this).array(); }
inline Json::Object Json::object() && { return std::as_const(*this).object(); }
inline Json Json::at(std::string_view key) && { return std::as_const(*this).at(key); }

inline const Json* Json::find(std::string_view key) const& {
  const Object& members = object();
  const auto at = std::lower_bound(members.begin(), members.end(), key,
                                   [](const Member& m, std::string_view k) { return m.key < k; });
  return at != members.end() && at->key == key ? &at->value : nullptr;
}

}  // namespace tess::io
