// Tokenizer: what turns a prompt into token ids and ids into text; and the simplest one, the ids themselves.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <charconv>
#include <concepts>
#include <string>
#include <string_view>
#include <vector>

#include "../core/error.hpp"
#include "../tensor/dtype.hpp"

namespace tess::generate {

/// `encode` throws Error for a text that has no tokens. A `Stream` turns ids into text as they come: what `push` returns
/// is whole characters, what `finish` returns is the rest, and all of it follows the prompt.
template <class T>
concept Tokenizer = requires(const T& tokenizer, typename T::Stream stream, std::string_view text, i32 id) {
  { tokenizer.vocab_size() } -> std::same_as<index_t>;
  { tokenizer.encode(text) } -> std::same_as<std::vector<i32>>;
  { tokenizer.stream() } -> std::same_as<typename T::Stream>;
  { stream.push(id) } -> std::same_as<std::string>;
  { stream.finish() } -> std::same_as<std::string>;
};

/// Ids in and out as numbers, "1 17 42": for models whose tokenizer is not at hand.
class TokenIds {
 public:
  explicit TokenIds(index_t vocab_size) : vocab_size_(vocab_size) {}

  index_t vocab_size() const { return vocab_size_; }

  /// Numbers between spaces. Throws Error for anything else, and for a number outside the vocabulary.
  std::vector<i32> encode(std::string_view text) const {
    constexpr std::string_view spaces = " \t\r\n";
    std::vector<i32> ids;
    for (std::size_t at = 0; (at = text.find_first_not_of(spaces, at)) != std::string_view::npos;) {
      const std::string_view word = text.substr(at, text.find_first_of(spaces, at) - at);
      i32 id = -1;
      const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), id);
      if (error != std::errc() || end != word.data() + word.size() || id < 0 || id >= vocab_size_)
        fail("prompt: \"", word, "\" is no token id; give numbers from 0 to ", vocab_size_ - 1);
      ids.push_back(id);
      at += word.size();
    }
    return ids;
  }

  struct Stream {
    std::string push(i32 id) const { return " " + std::to_string(id); }
    std::string finish() const { return {}; }
  };
  Stream stream() const { return {}; }

 private:
  index_t vocab_size_;
};
static_assert(Tokenizer<TokenIds>);

}  // namespace tess::generate
