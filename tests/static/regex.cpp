// The regular expressions of partition rules: Python's re.match, anchored at the start only.
// SPDX-License-Identifier: Apache-2.0
#include <tess/sharding/regex.hpp>

namespace {
using tess::detail::Regex;

// Anchored at the start, not at the end, unless the pattern says so.
static_assert(Regex::match("key", "key"));
static_assert(Regex::match("key", "keys"));
static_assert(!Regex::match("key", "my_key"));
static_assert(!Regex::match("key$", "keys"));
static_assert(Regex::match("", "anything"));
static_assert(!Regex::match("$", "anything"));

// `$` binds to the last alternative only: the trap of "query|key" + "$".
static_assert(Regex::match("query|key$", "query_norm"));
static_assert(!Regex::match("query|key$", "key_norm"));
static_assert(!Regex::match("(query|key)$", "query_norm"));

// Repetition.
static_assert(Regex::match("decoder_layer_[0-9]+$", "decoder_layer_63"));
static_assert(!Regex::match("decoder_layer_[0-9]+$", "decoder_layer_"));
static_assert(Regex::match("a*b?c$", "c"));
static_assert(Regex::match("a*b?c$", "aaabc"));
static_assert(!Regex::match("a*b?c$", "abbc"));
static_assert(Regex::match("(ab)+$", "ababab"));
static_assert(!Regex::match("(ab)+$", "ababa"));

// Classes, their complements, escapes and the dot.
static_assert(Regex::match("[a-c_]+$", "a_cb"));
static_assert(!Regex::match("[^a-c]$", "b"));
static_assert(Regex::match("[^a-c]$", "d"));
static_assert(Regex::match("\\d\\w\\.$", "7x."));
static_assert(!Regex::match("\\.$", "x"));
static_assert(Regex::match("l.near$", "linear"));
}  // namespace
