// JSON as RFC 8259 says it, and nothing else; errors name file and line.
// SPDX-License-Identifier: Apache-2.0
#include "tess/io/json.hpp"

#include <doctest/doctest.h>

#include <string>
#include <string_view>

#include "support/files.hpp"

using namespace tess;
using namespace tess::io;
using namespace tess::test;

namespace {

Json parse(std::string_view text) { return Json::parse(text, "config.json"); }

std::string repeated(std::string_view text, int n) {
  std::string result;
  for (int i = 0; i < n; ++i) result += text;
  return result;
}

}  // namespace

TEST_CASE("every kind of value") {
  CHECK(parse("null").is_null());
  CHECK(parse(" true\n").boolean());
  CHECK(!parse("false").boolean());
  CHECK(parse("-0").integer() == 0);
  CHECK(parse("9223372036854775807").integer() == 9223372036854775807);
  CHECK(parse("-9223372036854775808").integer() == -9223372036854775807 - 1);
  CHECK(parse("9223372036854775808").number() == 9223372036854775808.0);  // an integer beyond 64 bits is a double
  CHECK(parse("78.38367176906169").number() == 78.38367176906169);
  CHECK(parse("-1.5E+2").number() == -150);
  CHECK(parse("1e-5").number() == 1e-5);
  CHECK(parse("7").number() == 7);
  CHECK(parse("[]").array().empty());
  CHECK(parse("[1, [2], 3]").array()[1].array()[0].integer() == 2);
  CHECK(parse("{}").object().empty());
  CHECK(parse(R"({"b": 1, "a": {"c": 2}})").at("a").at("c").integer() == 2);
}

TEST_CASE("strings: escapes, surrogate pairs, UTF-8") {
  CHECK(parse(R"("\"\\\/\b\f\n\r\t")").string() == "\"\\/\b\f\n\r\t");
  CHECK(parse(R"("\u0041\u00e9\u20AC\ud83d\ude00")").string() == "Aé€😀");
  CHECK(parse("\"é€😀\"").string() == "é€😀");
  CHECK(parse(R"("\u0000")").string() == std::string(1, '\0'));
}

TEST_CASE("members are found by key; the order of the file does not matter") {
  const Json json = parse(R"({"z": 1, "a": 2, "m": 3})");
  CHECK(json.at("a").integer() == 2);
  CHECK(json.find("q") == nullptr);
  CHECK(json.find("") == nullptr);
  CHECK(json.object().front().key == "a");
}

TEST_CASE("a missing key and a wrong type name file and line") {
  const Json json = parse("{\n \"layers\": \"64\",\n \"size\": 1.5,\n \"big\": [\n ]\n}");
  CHECK(error_of([&] { (void)json.at("heads"); }) == "config.json, line 1: the key \"heads\" is missing.");
  CHECK(error_of([&] { (void)json.at("layers").integer(); }) ==
        "config.json, line 2: expected an integer, found a string.");
  CHECK(error_of([&] { (void)json.at("size").integer(); }) ==
        "config.json, line 3: expected an integer, found a number.");
  CHECK(error_of([&] { (void)json.at("big").object(); }) == "config.json, line 4: expected an object, found an array.");
  CHECK(error_of([&] { (void)json.at("big").find("x"); }) ==
        "config.json, line 4: expected an object, found an array.");
}

TEST_CASE("whatever is no JSON is refused") {
  struct Row {
    std::string_view name;
    std::string text;
    std::string_view expected;
  };
  const std::vector<Row> rows{
      {"nothing", "", "expected a value, found the end of the text"},
      {"spaces", " \n ", "line 2 (byte 3): expected a value"},
      {"two values", "1 2", "expected the end of the text, found '2'"},
      {"a comment", "// x\n1", "expected a value, found '/'"},
      {"a trailing comma", "[1,]", "expected a value, found ']'"},
      {"a trailing comma in an object", "{\"a\":1,}", "expected a string, found '}'"},
      {"an open array", "[1", "expected ',' or ']', found the end of the text"},
      {"an open object", "{\"a\":1", "expected ',' or '}'"},
      {"no colon", "{\"a\" 1}", "expected ':'"},
      {"a key that is a number", "{1:1}", "expected a string, found '1'"},
      {"a key twice", "{\"a\":1,\n\"b\":2,\n\"a\":3}", "the key \"a\" occurs twice"},
      {"single quotes", "'a'", "expected a value"},
      {"NaN", "NaN", "expected a value, found 'N'"},
      {"Infinity", "-Infinity", "expected a value, found '-'"},
      {"a plus sign", "+1", "expected a value, found '+'"},
      {"a leading zero", "01", "expected the end of the text, found '1'"},
      {"hexadecimal", "0x10", "expected the end of the text, found 'x'"},
      {"a bare point", "1.", "expected a digit after the decimal point"},
      {"a leading point", ".5", "expected a value"},
      {"an empty exponent", "1e", "expected the digits of an exponent"},
      {"a number beyond a double", "1e999", "expected a number that a double can hold"},
      {"a minus", "-", "expected a value"},
      {"half a word", "tru", "expected a value"},
      {"an open string", "\"abc", "expected '\"', found the end of the text"},
      {"a raw newline", "\"a\nb\"", "a control character"},
      {"an unknown escape", "\"\\x41\"", "expected one of"},
      {"an escape at the end", "\"\\", "expected one of"},
      {"three digits", "\"\\u12g4\"", "four hexadecimal digits"},
      {"a cut escape", "\"\\u12", "four hexadecimal digits"},
      {"a signed escape", "\"\\u-123\"", "four hexadecimal digits"},
      {"a high surrogate alone", "\"\\ud83d\"", "second half of a surrogate pair"},
      {"a high surrogate and a letter", "\"\\ud83d\\u0041\"", "second half of a surrogate pair"},
      {"a low surrogate alone", "\"\\ude00\"", "second half of a surrogate pair"},
      {"Latin-1", "\"\xe9\"", "expected UTF-8, found '\\xe9'"},
      {"an overlong slash", "\"\xc0\xaf\"", "expected UTF-8"},
      {"an overlong slash of three", "\"\xe0\x80\xaf\"", "expected UTF-8"},
      {"a surrogate in UTF-8", "\"\xed\xa0\x80\"", "expected UTF-8"},
      {"beyond U+10FFFF", "\"\xf4\x90\x80\x80\"", "expected UTF-8"},
      {"a cut character", "\"\xe2\x82", "expected UTF-8"},
      {"a byte order mark", "\xef\xbb\xbf{}", "expected a value"},
      {"a NUL behind", std::string("1\0", 2), "expected the end of the text, found '\\x00'"},
      {"deep arrays", repeated("[", 100'000), "nesting deeper than 64"},
      {"deep objects", repeated("{\"a\":", 100'000), "nesting deeper than 64"},
      {"too many values", "[" + repeated("0,", 1'100'000) + "0]", "more than 1048576 values"},
  };
  for (const Row& row : rows) {
    CAPTURE(row.name);
    const std::string message = error_of([&] { (void)parse(row.text); });
    CAPTURE(message);
    CHECK(message.starts_with("config.json, line "));
    CHECK(contains(message, row.expected));
    CHECK(is_short(message));
  }
}

TEST_CASE("64 levels are read, and a file is") {
  CHECK(parse(repeated("[", 65) + repeated("]", 65)).array().size() == 1);
  const Json config = Json::read_file(std::string(TESS_TEST_DATA) + "/grok/moe12/config.json");
  CHECK(config.at("config").at("num_layers").integer() == 12);
  CHECK(config.at("config").at("embedding_multiplier_scale").number() == 78.38367176906169);
  CHECK(config.at("leaves").array().size() == 146);
}
