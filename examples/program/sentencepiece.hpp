// SentencePiece as a tokenizer: load, encode, decode, and a decoder for streams that yields whole characters only.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <sentencepiece_processor.h>

#include <charconv>
#include <cstddef>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <tess/generate/tokenizer.hpp>

namespace program {

namespace detail {

/// Length of the UTF-8 character that begins at `text[0]`; 0 if none does; -1 if it is cut off by the end of the text.
inline int utf8_character(std::string_view text) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned lead = byte(0);
  const std::size_t length = lead < 0x80   ? 1
                             : lead < 0xc2 ? 0
                             : lead < 0xe0 ? 2
                             : lead < 0xf0 ? 3
                             : lead < 0xf5 ? 4
                                           : 0;
  for (std::size_t i = 1; i < length; ++i) {
    if (i == text.size()) return -1;
    // The second byte also excludes overlong forms, surrogates, and what lies beyond U+10FFFF.
    const unsigned low = i > 1 ? 0x80 : lead == 0xe0 ? 0xa0 : lead == 0xf0 ? 0x90 : 0x80;
    const unsigned high = i > 1 ? 0xbf : lead == 0xed ? 0x9f : lead == 0xf4 ? 0x8f : 0xbf;
    if (byte(i) < low || byte(i) > high) return 0;
  }
  return static_cast<int>(length);
}

}  // namespace detail

/// Throws if `text` is not UTF-8; the message names the first wrong byte.
inline void require_utf8(std::string_view text, std::string_view what) {
  for (std::size_t at = 0; at < text.size();) {
    const int length = detail::utf8_character(text.substr(at));
    if (length <= 0)
      tess::fail(what, ": invalid UTF-8 at byte ", at, " of ", text.size(),
                 ". Convert the text to UTF-8, for example with iconv");
    at += static_cast<std::size_t>(length);
  }
}

class StreamDecoder;

/// Whether prompts begin with the model's BOS: those of Llama and Mixtral were trained so, Grok-1's was not.
enum class Bos { none, first };

/// A SentencePiece model. Const calls may come from several threads.
class SentencePiece {
 public:
  using Stream = StreamDecoder;

  /// Throws if there is no such file, it is not a SentencePiece model, or it has not `vocab_size` pieces.
  static SentencePiece load(const std::filesystem::path& path, tess::index_t vocab_size, Bos bos = Bos::none) {
    constexpr std::uintmax_t most = std::uintmax_t{1} << 28;
    std::error_code error;
    const std::string file = path.string();
    if (!std::filesystem::exists(path, error))
      tess::fail(file, ": no such tokenizer. Name the checkpoint's tokenizer.model with --tokenizer");
    if (!std::filesystem::is_regular_file(path, error)) tess::fail(file, ": is not a file. Name a SentencePiece model");
    const auto size = std::filesystem::file_size(path, error);
    if (error || size > most) tess::fail(file, ": ", size, " bytes are too many for a SentencePiece model");
    std::ifstream in(path, std::ios::binary);
    const std::string bytes{std::istreambuf_iterator<char>(in), {}};
    if (!in) tess::fail(file, ": cannot be read");

    SentencePiece t;
    if (bytes.empty() || !t.model_->LoadFromSerializedProto(bytes).ok())
      tess::fail(file, ": is not a SentencePiece model (", bytes.size(), " bytes)");
    if (t.vocab_size() != vocab_size)
      tess::fail(file, ": has ", t.vocab_size(), " pieces, but the model's vocab_size is ", vocab_size,
                 ".\nUse the tokenizer.model that belongs to the checkpoint, or correct vocab_size in its config.json");
    std::vector<int> unknown{t.model_->unk_id()};
    t.unknown_ = t.decode(unknown);
    if (bos == Bos::first && t.model_->bos_id() < 0) tess::fail(file, ": has no BOS to begin a prompt with");
    t.bos_ = bos;
    return t;
  }

  tess::index_t vocab_size() const { return model_->GetPieceSize(); }

  /// Token ids of a text, after BOS where that was asked for. Throws on invalid UTF-8.
  std::vector<int> encode(std::string_view text) const {
    require_utf8(text, "prompt");
    std::vector<int> ids;
    if (const auto status = model_->Encode(text, &ids); !status.ok()) tess::fail("tokenizer: ", status.ToString());
    if (bos_ == Bos::first) ids.insert(ids.begin(), model_->bos_id());
    return ids;
  }

  /// The text of all ids. Control tokens ([BOS], [EOS], …) are invisible; bytes that form no UTF-8 become U+FFFD.
  std::string decode(std::span<const int> ids) const {
    for (const int id : ids) check(id);
    std::string text;
    if (const auto status = model_->Decode(std::vector<int>(ids.begin(), ids.end()), &text); !status.ok())
      tess::fail("tokenizer: ", status.ToString());
    return text;
  }

  /// For the text that follows a prompt.
  StreamDecoder stream() const;

  /// What the id shows inside a text (not at its beginning). Not for byte pieces.
  std::string surface(int id) const {
    if (model_->IsControl(id)) return "";
    if (model_->IsUnknown(id)) return unknown_;
    std::string text = piece(id);
    constexpr std::string_view space = "\u2581";
    for (std::size_t at = 0; (at = text.find(space, at)) != std::string::npos; ++at)
      text.replace(at, space.size(), " ");
    return text;
  }

  /// The vocabulary's entry, e.g. "▁the" or "<0x0A>".
  const std::string& piece(int id) const {
    check(id);
    return model_->IdToPiece(id);
  }
  bool is_byte(int id) const {
    check(id);
    return model_->IsByte(id);
  }

 private:
  SentencePiece() : model_(std::make_unique<sentencepiece::SentencePieceProcessor>()) {}

  void check(int id) const {
    if (id < 0 || id >= vocab_size()) tess::fail("tokenizer: no token ", id, "; there are ", vocab_size());
  }

  std::unique_ptr<sentencepiece::SentencePieceProcessor> model_;
  Bos bos_ = Bos::none;
  std::string unknown_;  // the text of an unknown token
};

/// Decodes a stream of tokens: the pieces of text that `push` returns are whole UTF-8 characters, and together with
/// `finish` they are exactly `decode` of all ids. With `continues` they are the text that follows a prompt: then the
/// first word keeps its space. Keeps a reference to the tokenizer.
class StreamDecoder {
 public:
  explicit StreamDecoder(const SentencePiece& tokenizer, bool continues = false)
      : tokenizer_(&tokenizer), continues_(continues), started_(continues) {}

  /// The text that this token completes; often a word, sometimes nothing.
  std::string push(int id) {
    if (tokenizer_->is_byte(id)) {
      bytes_ += byte_value(tokenizer_->piece(id));
      return started(take_characters(false));
    }
    std::string text = started(take_characters(true));
    if (started_) return text + tokenizer_->surface(id);
    // At the beginning SentencePiece drops the space of the first word: let it judge until there is text.
    silent_.push_back(id);
    return started(tokenizer_->decode(silent_));
  }

  /// The rest: a character that was cut off appears as U+FFFD. The decoder is then as new.
  std::string finish() {
    std::string text = take_characters(true);
    started_ = continues_;
    silent_.clear();
    return text;
  }

 private:
  std::string started(std::string text) {
    started_ = started_ || !text.empty();
    return text;
  }

  static char byte_value(std::string_view piece) {  // "<0xE2>"
    unsigned value = 0;
    std::from_chars(piece.data() + 3, piece.data() + 5, value, 16);
    return static_cast<char>(value);
  }

  /// Removes what is complete from bytes_; at the `end` of a run of bytes nothing more can be completed.
  std::string take_characters(bool end) {
    std::string text;
    while (!bytes_.empty()) {
      const int length = detail::utf8_character(bytes_);
      if (length < 0 && !end) break;
      const std::size_t taken = length > 0 ? static_cast<std::size_t>(length) : 1;
      text += length > 0 ? bytes_.substr(0, taken) : "\uFFFD";
      bytes_.erase(0, taken);
    }
    return text;
  }

  const SentencePiece* tokenizer_;
  bool continues_;
  std::vector<int> silent_;  // tokens so far, while they show nothing
  bool started_;
  std::string bytes_;  // of an incomplete character
};

inline StreamDecoder SentencePiece::stream() const { return StreamDecoder(*this, true); }
static_assert(tess::generate::Tokenizer<SentencePiece>);

}  // namespace program
