// The part of Python's re.match that partition rules use, at compile time.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstdint>
#include <string_view>

namespace tess::detail {

/// Works on the set of positions in the text where a match so far may end, one bit each: alternatives are followed at
/// once, without backtracking.
class Regex {
 public:
  static constexpr std::size_t max_text = 63;

  /// Python's `re.match(pattern, text) is not None`: anchored at the start only. A text longer than max_text is an
  /// error.
  static constexpr bool match(std::string_view pattern, std::string_view text) {
    if (text.size() > max_text) throw "an element of a parameter's path is longer than 63 characters";
    return Regex(pattern, text).alternatives(1) != 0;
  }

 private:
  using Ends = std::uint64_t;
  std::string_view pattern_, text_;
  std::size_t at_ = 0;

  constexpr Regex(std::string_view pattern, std::string_view text) : pattern_(pattern), text_(text) {}

  constexpr bool more() const { return at_ < pattern_.size(); }
  constexpr char look() const { return pattern_[at_]; }

  constexpr Ends alternatives(Ends from) {
    Ends result = sequence(from);
    while (more() && look() == '|') {
      ++at_;
      result |= sequence(from);
    }
    return result;
  }

  constexpr Ends sequence(Ends from) {
    while (more() && look() != '|' && look() != ')') from = repeated(from);
    return from;
  }

  constexpr Ends repeated(Ends from) {
    const std::size_t begin = at_;
    const Ends once = atom(from);
    if (!more() || (look() != '*' && look() != '+' && look() != '?')) return once;
    const char how = look();
    const std::size_t end = at_ + 1;
    Ends result = how == '+' ? once : from | once;
    if (how != '?')
      for (std::size_t i = 0; i <= text_.size();
           ++i) {  // each round adds a repetition; no more than the text has characters
        at_ = begin;
        result |= atom(result);
      }
    at_ = end;
    return result;
  }

  constexpr Ends atom(Ends from) {
    const char c = look();
    if (c == '(') {
      ++at_;
      if (more() && look() == '?') throw "a partition rule uses (?...), which is not supported";
      const Ends result = alternatives(from);
      ++at_;  // ')'
      return result;
    }
    if (c == '{') throw "a partition rule uses {...}, which is not supported";
    if (c == '^') {
      ++at_;
      return from & 1u;
    }
    if (c == '$') {  // the end, or before a final newline
      ++at_;
      Ends ends = Ends{1} << text_.size();
      if (!text_.empty() && text_.back() == '\n') ends |= ends >> 1;
      return from & ends;
    }
    const std::size_t begin = at_;
    skip_character_class();
    const std::size_t end = at_;
    Ends result = 0;
    for (std::size_t i = 0; i < text_.size(); ++i)
      if (from >> i & 1u && matches(pattern_.substr(begin, end - begin), text_[i])) result |= Ends{2} << i;
    return result;
  }

  constexpr void skip_character_class() {
    if (look() == '[') {
      ++at_;
      if (more() && look() == '^') ++at_;
      if (more()) ++at_;  // a first ']' is a member
      while (more() && look() != ']') ++at_;
    } else if (look() == '\\') {
      ++at_;
    }
    if (more()) ++at_;
  }

  static constexpr bool in(char c, char low, char high) { return low <= c && c <= high; }
  static constexpr bool matches(std::string_view set, char c) {
    if (set[0] == '.') return c != '\n';
    if (set[0] == '\\' && set.size() > 1) {
      if (set[1] == 'd') return in(c, '0', '9');
      if (set[1] == 'w') return in(c, '0', '9') || in(c, 'a', 'z') || in(c, 'A', 'Z') || c == '_';
      return c == set[1];
    }
    if (set[0] != '[') return c == set[0];
    const bool negated = set[1] == '^';
    bool found = false;
    for (std::size_t i = negated ? 2 : 1; i + 1 < set.size(); ++i) {
      if (i + 3 < set.size() && set[i + 1] == '-') {
        found = found || in(c, set[i], set[i + 2]);
        i += 2;
      } else {
        found = found || c == set[i];
      }
    }
    return found != negated;
  }
};

}  // namespace tess::detail
