// The tokenizer on the tiny model's vocabulary: encode, decode, streams, and every bad file or text.
// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <random>
#include <string>
#include <vector>

#include "program/sentencepiece.hpp"

using program::SentencePiece;
using program::StreamDecoder;
namespace fs = std::filesystem;

namespace {

const fs::path tiny_model = fs::path(GROK1_DIRECTORY) / "tiny" / "tokenizer.model";

const SentencePiece& tiny() {
  static const SentencePiece tokenizer = SentencePiece::load(tiny_model, 1024);
  return tokenizer;
}

int id_of(std::string_view piece) {
  for (int id = 0; id < tiny().vocab_size(); ++id)
    if (tiny().piece(id) == piece) return id;
  FAIL("no piece ", piece);
  return -1;
}

std::vector<std::string> streamed(const std::vector<int>& ids) {
  StreamDecoder decoder(tiny());
  std::vector<std::string> out;
  for (const int id : ids) out.push_back(decoder.push(id));
  out.push_back(decoder.finish());
  return out;
}

std::string joined(const std::vector<std::string>& parts) {
  std::string all;
  for (const auto& p : parts) all += p;
  return all;
}

bool is_utf8(std::string_view text) {
  try {
    program::require_utf8(text, "text");
    return true;
  } catch (const tess::Error&) {
    return false;
  }
}

}  // namespace

TEST_CASE("tokenizer: text comes back, without BOS") {
  for (const std::string text : {"The answer to life the universe and everything is of course", "17 + 25 =", "a\n\nb",
                                 "Grüße, 世界! 🦜", "  two spaces", "tab\there", ""}) {
    CAPTURE(text);
    const auto ids = tiny().encode(text);
    CHECK(tiny().decode(ids) == text);
    if (!ids.empty()) CHECK(ids[0] != 1);
  }
  CHECK(tiny().encode("").empty());
}

TEST_CASE("tokenizer: BOS comes first where it is asked for, and shows nothing") {
  const auto with_bos = SentencePiece::load(tiny_model, 1024, program::Bos::first);
  auto ids = with_bos.encode("The cat");
  CHECK(ids[0] == 1);
  CHECK(with_bos.decode(ids) == "The cat");
  ids.erase(ids.begin());
  CHECK(ids == tiny().encode("The cat"));
}

TEST_CASE("stream: the first word has no space before it, the others have") {
  const auto parts = streamed(tiny().encode("The cat"));
  CHECK(joined(parts) == "The cat");
  CHECK(joined(parts).front() == 'T');
  StreamDecoder beginning(tiny());
  CHECK(beginning.push(id_of("\u2581")) == "");
  StreamDecoder continuing(tiny(), true);
  CHECK(continuing.push(id_of("\u2581")) == " ");
  CHECK(continuing.finish() == "");
  CHECK(continuing.push(id_of("\u2581")) == " ");
}

TEST_CASE("stream: bytes are held back until the character is whole") {
  const std::vector<int> parrot = {id_of("<0xF0>"), id_of("<0x9F>"), id_of("<0xA6>"), id_of("<0x9C>")};
  CHECK(streamed(parrot) == std::vector<std::string>{"", "", "", "🦜", ""});
  // Cut off by another piece, by a byte that cannot follow, or by the end: U+FFFD for each byte.
  CHECK(joined(streamed({parrot[0], parrot[1], id_of("a")})) == "\uFFFD\uFFFDa");
  CHECK(joined(streamed({parrot[0], id_of("<0x41>")})) == "\uFFFDA");
  CHECK(joined(streamed({parrot[0], parrot[1]})) == "\uFFFD\uFFFD");
  CHECK(joined(streamed({parrot[0], 2, parrot[1]})) == "\uFFFD\uFFFD");  // [EOS] shows nothing, but cuts
}

TEST_CASE("stream: whatever the tokens are, the parts together are the whole, and each is UTF-8") {
  std::mt19937 random(7);
  std::vector<int> bytes, spaces;
  for (int id = 0; id < tiny().vocab_size(); ++id) {
    if (tiny().is_byte(id)) bytes.push_back(id);
    if (tiny().piece(id).starts_with("\u2581")) spaces.push_back(id);
  }
  REQUIRE(bytes.size() == 256);
  const auto any = [&](const std::vector<int>& of) { return of[random() % of.size()]; };
  for (int round = 0; round < 3000; ++round) {
    std::vector<int> ids;
    const std::size_t length = random() % 12;
    while (ids.size() < length) switch (random() % 4) {
        case 0:
          ids.push_back(static_cast<int>(random() % 5));  // control and unknown tokens
          break;
        case 1:
          ids.push_back(any(bytes));
          break;
        case 2:
          ids.push_back(any(spaces));
          break;
        default:
          ids.push_back(static_cast<int>(random() % 1024));
      }
    const auto parts = streamed(ids);
    CAPTURE(round);
    CHECK(joined(parts) == tiny().decode(ids));
    for (const auto& p : parts) CHECK(is_utf8(p));
  }
  // Valid characters, byte by byte.
  for (int round = 0; round < 500; ++round) {
    std::vector<int> ids;
    for (const char c : std::string("é世🦜\x7f") + char('a' + round % 26))
      ids.push_back(bytes[static_cast<unsigned char>(c)]);
    ids.insert(ids.begin() + static_cast<std::ptrdiff_t>(random() % ids.size()), static_cast<int>(random() % 1024));
    CHECK(joined(streamed(ids)) == tiny().decode(ids));
  }
}

TEST_CASE("prompts that are not UTF-8 are refused, with the first wrong byte") {
  struct Case {
    std::string text;
    std::size_t at;
  };
  for (const auto& c :
       {Case{"abc\xff", 3}, Case{"\x80", 0}, Case{"é\xc3", 2}, Case{"a\xc0\x80", 1}, Case{"a\xe0\x80\x80", 1},
        Case{"\xed\xa0\x80", 0}, Case{"\xf4\x90\x80\x80", 0}, Case{"ab\xe4\xb8", 2}, Case{"\xf5\x80\x80\x80", 0}}) {
    CAPTURE(c.at);
    CHECK_THROWS_WITH_AS((void)tiny().encode(c.text),
                         doctest::Contains(("invalid UTF-8 at byte " + std::to_string(c.at) + " of").c_str()),
                         tess::Error);
  }
  CHECK(is_utf8(std::string("\0 is a character", 16)));
  CHECK(is_utf8("\u0080\u07ff\u0800\ud7ff\ue000\uffff\U00010000\U0010ffff"));
}

TEST_CASE("bad tokenizer files and tokens are one error each") {
  const auto folder = fs::temp_directory_path() / ("tess_tokenizer_" + std::to_string(std::random_device{}()));
  fs::create_directory(folder);
  const auto bad = [&](const fs::path& path, tess::index_t vocab, const char* text) {
    CHECK_THROWS_WITH_AS((void)SentencePiece::load(path, vocab), doctest::Contains(text), tess::Error);
  };
  const auto write = [&](const char* name, const std::string& bytes) {
    std::ofstream(folder / name, std::ios::binary) << bytes;
    return folder / name;
  };
  std::ifstream in(tiny_model, std::ios::binary);
  const std::string model{std::istreambuf_iterator<char>(in), {}};
  REQUIRE(model.size() > 1000);

  bad(folder / "none.model", 1024, "no such tokenizer");
  bad(folder, 1024, "is not a file");
  bad(write("empty.model", ""), 1024, "is not a SentencePiece model (0 bytes)");
  bad(write("text.model", "hello, world"), 1024, "is not a SentencePiece model");
  bad(write("cut.model", model.substr(0, model.size() / 2)), 1024, "");
  bad(tiny_model, 131072, "has 1024 pieces, but the model's vocab_size is 131072");
  for (std::size_t length = 0; length < model.size(); length += 997)  // never a crash
    CHECK_THROWS_AS((void)SentencePiece::load(write("part.model", model.substr(0, length)), 1024), tess::Error);
  fs::remove_all(folder);

  for (const int id : {-1, 1024}) {
    CHECK_THROWS_WITH_AS((void)tiny().decode(std::vector<int>{id}), doctest::Contains("no token"), tess::Error);
    StreamDecoder decoder(tiny());
    CHECK_THROWS_AS((void)decoder.push(id), tess::Error);
  }
}
