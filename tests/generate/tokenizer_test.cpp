// Token ids as text: numbers in, numbers out, and one error for anything else.
// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <string>
#include <vector>

#include <tess/generate/tokenizer.hpp>

#include "support/files.hpp"

using namespace tess::test;
using tess::generate::TokenIds;

TEST_CASE("token ids: numbers between any spaces, and back") {
  const TokenIds ids(300);
  CHECK(ids.vocab_size() == 300);
  CHECK(ids.encode("1 17  299\n") == std::vector<tess::i32>{1, 17, 299});
  CHECK(ids.encode(" \t 0") == std::vector<tess::i32>{0});
  CHECK(ids.encode("").empty());
  auto stream = ids.stream();
  std::string text = "1 17";
  for (const tess::i32 id : {299, 0}) text += stream.push(id);
  CHECK(text + stream.finish() == "1 17 299 0");
}

TEST_CASE("token ids: what is no number of the vocabulary is named") {
  const TokenIds ids(300);
  for (const std::string word : {"300", "-1", "1.5", "x", "17,", "99999999999"}) {
    CAPTURE(word);
    CHECK(error_of([&] { (void)ids.encode("1 " + word + " 2"); }) ==
          "prompt: \"" + word + "\" is no token id; give numbers from 0 to 299");
  }
}
