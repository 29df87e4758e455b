// The part of Python's re.match that partition rules use, at compile time.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstdint>
#include <string_view>

namespace tess::detail {

/// Works on the set of positions in the text where a match so far may end, one bit each: alternatives are followed at
/// once, without backtracking. Read are characters, `.`, sets, \d \w \s and their complements, ^ $ | ( ) (?: ) (?= ) (?! ),
/// * + ? and their lazy forms, and (?i) in front. Counts {m,n}, \b, references to groups, lookbehind and other flags are not.
class Regex {
 public:
  static constexpr std::size_t max_text = 63;

  /// Is all of the pattern in that part, and well-formed?
  static constexpr bool understands(std::string_view pattern) {
    Regex r(pattern, "");
    r.whole();
    return r.understood_;
  }

  /// Python's `re.match(pattern, text) is not None`: anchored at the start only. What is not understood matches nothing:
  /// ask before. A text longer than max_text is an error.
  static constexpr bool match(std::string_view pattern, std::string_view text) {
    if (text.size() > max_text) throw "an element of a parameter's path is longer than 63 characters";
    Regex r(pattern, text);
    return r.whole() != 0 && r.understood_;
  }

 private:
  using Ends = std::uint64_t;
  std::string_view pattern_, text_;
  std::size_t at_ = 0;
  bool understood_ = true, any_case_ = false;

  constexpr Regex(std::string_view pattern, std::string_view text) : pattern_(pattern), text_(text) {}

  constexpr bool more() const { return at_ < pattern_.size(); }
  constexpr char look() const { return pattern_[at_]; }
  constexpr bool take(std::string_view token) {
    const bool here = pattern_.substr(at_).starts_with(token);
    if (here) at_ += token.size();
    return here;
  }
  /// Goes on behind the end of the pattern, so that reading stops.
  constexpr Ends not_understood() {
    understood_ = false;
    at_ = pattern_.size();
    return 0;
  }

  constexpr Ends whole() {
    any_case_ = take("(?i)");
    const Ends ends = alternatives(1);
    return more() ? not_understood() : ends;  // a ')' without its '('
  }

  constexpr Ends alternatives(Ends from) {
    Ends result = sequence(from);
    while (take("|")) result |= sequence(from);
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
           ++i) {  // each round adds a repetition; no more than there are characters
        at_ = begin;
        result |= atom(result);
      }
    at_ = end;
    take("?");  // lazy: finds another match first, but not another answer
    return result;
  }

  constexpr Ends atom(Ends from) {
    if (take("(?:") || (pattern_.substr(at_, 2) != "(?" && take("("))) return group(from);
    if (take("(?=")) return lookahead(from, true);
    if (take("(?!")) return lookahead(from, false);
    if (take("^")) return from & 1u;
    if (take("$")) {  // the end, or before a final newline
      Ends ends = Ends{1} << text_.size();
      if (text_.ends_with('\n')) ends |= ends >> 1;
      return from & ends;
    }
    const std::size_t begin = at_;
    if (!skip_set()) return not_understood();
    const std::string_view set = pattern_.substr(begin, at_ - begin);
    Ends result = 0;
    for (std::size_t i = 0; i < text_.size(); ++i)
      if (from >> i & 1u && matches(set, text_[i])) result |= Ends{2} << i;
    return result;
  }

  constexpr Ends group(Ends from) {
    const Ends result = alternatives(from);
    return take(")") ? result : not_understood();
  }

  /// Stays where it is, at the positions from which the group can (or cannot) go on.
  constexpr Ends lookahead(Ends from, bool wanted) {
    const std::size_t begin = at_;
    Ends result = 0;
    for (std::size_t i = 0; i <= text_.size() && understood_; ++i) {
      at_ = begin;
      const Ends here = from & Ends{1} << i;
      if ((group(here) != 0) == wanted) result |= here;
    }
    return result;
  }

  /// Steps over one character, an escape or a [set].
  constexpr bool skip_set() {
    if (std::string_view("(*+?{").find(look()) != std::string_view::npos) return false;
    if (look() != '[') return skip_character();
    take("["), take("^");
    do {  // a first ']' is a member
      if (!more() || !skip_character()) return false;
    } while (more() && look() != ']');
    return take("]");
  }
  constexpr bool skip_character() {
    if (take("\\")) {
      if (!more()) return false;
      const bool known = std::string_view("dDwWsS").find(look()) != std::string_view::npos;
      if (!known && class_of('w', look()) && look() != '_') return false;  // \b, \1, \n …
    }
    ++at_;
    return true;
  }

  static constexpr bool in(char c, char low, char high) { return low <= c && c <= high; }
  static constexpr char lower(char c) { return in(c, 'A', 'Z') ? static_cast<char>(c - 'A' + 'a') : c; }
  static constexpr char upper(char c) { return in(c, 'a', 'z') ? static_cast<char>(c - 'a' + 'A') : c; }
  static constexpr bool class_of(char name, char c) {
    switch (name) {
      case 'd':
        return in(c, '0', '9');
      case 'w':
        return in(c, '0', '9') || in(c, 'a', 'z') || in(c, 'A', 'Z') || c == '_';
      case 's':
        return c == ' ' || in(c, '\t', '\r');
      case 'D':
      case 'W':
      case 'S':
        return !class_of(lower(name), c);
      default:
        return c == name;
    }
  }

  constexpr bool matches(std::string_view set, char c) const {
    if (set == ".") return c != '\n';
    if (set[0] != '[') return holds(set, c);
    set = set.substr(1, set.size() - 2);
    const bool negated = set[0] == '^';
    return holds(set.substr(negated ? 1 : 0), c) != negated;
  }
  /// Is c, in either case where that does not matter, among the members of a set?
  constexpr bool holds(std::string_view members, char c) const {
    return has(members, c) || (any_case_ && (has(members, lower(c)) || has(members, upper(c))));
  }
  static constexpr bool has(std::string_view members, char c) {
    while (!members.empty()) {
      const std::size_t escaped = members[0] == '\\' ? 1 : 0;
      const char low = members[escaped];
      members.remove_prefix(escaped + 1);
      if (!escaped && members.size() > 1 && members[0] == '-') {
        if (in(c, low, members[1])) return true;
        members.remove_prefix(2);
      } else if (escaped ? class_of(low, c) : c == low) {
        return true;
      }
    }
    return false;
  }
};

}  // namespace tess::detail
