// Pickled parameters: the official bytes are read exactly, and whatever else a file says is refused, not executed.
// SPDX-License-Identifier: Apache-2.0
#include "tess/io/pickle.hpp"

#include <doctest/doctest.h>

#include <filesystem>
#include <functional>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

#include "support/files.hpp"
#include "support/pickle_writer.hpp"
#include "tess/io/safetensors.hpp"

using namespace tess;
using namespace tess::io;
using namespace tess::test;

namespace {

const std::filesystem::path data = TESS_TEST_DATA;

std::string f32_pickle(const std::vector<index_t>& shape, std::string_view numbers) {
  std::ostringstream out;
  PickleWriter(out).write_f32(shape, from_memory(as_bytes(numbers)));
  return out.str();
}

std::string quantized_pickle(const std::vector<index_t>& shape, std::string_view weight,
                             const std::vector<index_t>& scales_shape, std::string_view scales) {
  std::ostringstream out;
  PickleWriter(out).write_quantized(shape, from_memory(as_bytes(weight)), scales_shape, from_memory(as_bytes(scales)));
  return out.str();
}

/// A one-frame pickle without its frame, which is optional: then bytes can be inserted without a new length.
std::string unframed(const std::string& pickle) { return pickle.substr(0, 2) + pickle.substr(11); }

const std::string numbers = from_hex("0000803f 00000040 00004040 00008040 0000a040 0000c040");  // 1 2 3 4 5 6
const std::string plain = unframed(f32_pickle({2, 3}, numbers));
const std::string quantized =
    unframed(quantized_pickle({4, 2}, from_hex("01ff02fe03fd04fc"), {2, 2}, from_hex("803f0040803f0040")));

Leaf parse(const std::string& file) { return parse_pickle(as_bytes(file), "tensor00007_000"); }

bool inside(const ArrayView& view, const std::string& file) {
  const auto bytes = as_bytes(file);
  return view.data.data() >= bytes.data() && view.offset <= file.size() &&
         view.data.data() == bytes.data() + view.offset && view.data.size() <= file.size() - view.offset &&
         byte_size(view.dtype, view.shape) == view.data.size();
}

}  // namespace

TEST_SUITE("the official bytes") {
  // Heads, middles and tails of released files (reference/grok1.md, section 1.1).
  const std::string kv_head = from_hex(
      "800495b7000000000000008c085f5f6d61696e5f5f948c135175616e74697a6564576569676874386269749493942981947d94288c067765"
      "69"
      "676874948c156e756d70792e636f72652e6d756c74696172726179948c0c5f7265636f6e7374727563749493948c056e756d7079948c076e"
      "64"
      "61727261799493944b0085944301629487945294284b014d00184d0004869468098c0564747970659493948c02693194898887945294284b"
      "03"
      "8c017c944e4e4e4affffffff4affffffff4b00749462894200006000");
  const std::string kv_middle = from_hex(
      "956608000000000000947494628c067363616c6573946808680b4b008594680d87945294284b014b014d0004869468128c096d6c5f647479"
      "70"
      "6573948c0862666c6f61743136949394898887945294284b038c013c944e4e4e4b024b024b00749462894200080000");
  const std::string kv_tail = from_hex("9474946275622e");
  const std::string embed_head = from_hex(
      "80049587000000000000008c156e756d70792e636f72652e6d756c74696172726179948c0c5f7265636f6e7374727563749493948c056e75"
      "6d"
      "7079948c076e6461727261799493944b0085944301629487945294284b014a000002004d0018869468038c0564747970659493948c026634"
      "94"
      "898887945294284b038c013c944e4e4e4affffffff4affffffff4b007494628942000000c0");
  const std::string embed_tail = from_hex("950500000000000000947494622e");

  TEST_CASE("a key or value projection, complete") {
    const std::string file =
        kv_head + std::string(6144 * 1024, '\x01') + kv_middle + std::string(2048, '\x3f') + kv_tail;
    REQUIRE(file.size() == 6293814);
    const Leaf leaf = parse(file);
    REQUIRE(leaf.scales);
    CHECK(describe(leaf.weight) == "i8[6144, 1024]");
    CHECK(describe(*leaf.scales) == "bf16[1, 1024]");
    CHECK(leaf.weight.offset == 199);
    CHECK(leaf.scales->offset == 6291759);
    CHECK(leaf.groups() == 1);
    CHECK(inside(leaf.weight, file));
    CHECK(inside(*leaf.scales, file));
    CHECK(leaf.weight.data.back() == std::byte{1});
    CHECK(leaf.scales->data.front() == std::byte{0x3f});
    CHECK(quantized_pickle({6144, 1024}, std::string(6144 * 1024, '\x01'), {1, 1024}, std::string(2048, '\x3f')) ==
          file);
  }

  TEST_CASE("the length of a frame is a hint, as in CPython") {
    const std::string file = replaced(kv_head, from_hex("95b7"), from_hex("9501")) + std::string(6144 * 1024, '\x01') +
                             replaced(kv_middle, from_hex("956608"), from_hex("955808")) + std::string(2048, '\x3f') +
                             kv_tail;
    CHECK(describe(parse(file).weight) == "i8[6144, 1024]");
  }

  TEST_CASE("the embedding's length is unsigned, and its size is checked before anything else") {
    const std::string message = error_of([&] { parse(embed_head + "payload" + embed_tail); });
    CAPTURE(message);
    CHECK(
        contains(message, "byte 146, opcode BINBYTES: needs 3221225472 more bytes, but the file ends 21 bytes later"));
  }

  TEST_CASE("the embedding's grammar, with fewer rows") {
    const std::string head = replaced(replaced(embed_head, from_hex("4a00000200"), from_hex("4a03000000")),  // 3 rows
                                      from_hex("42000000c0"), from_hex("4200200100"));
    const std::string file = head + std::string(3 * 6144 * 4, 'x') + embed_tail;
    const Leaf leaf = parse(file);
    CHECK(describe(leaf.weight) == "f32[3, 6144]");
    CHECK(leaf.weight.offset == 151);
    CHECK(!leaf.scales);
    CHECK(leaf.groups() == 0);
  }

  TEST_CASE("the writer makes files of the released sizes") {
    struct Counter : std::streambuf {
      std::size_t count = 0;
      std::streamsize xsputn(const char*, std::streamsize n) override {
        return count += static_cast<std::size_t>(n), n;
      }
      int_type overflow(int_type c) override { return ++count, c; }
    };
    const ByteSource nothing = [](std::span<std::byte>) {};
    struct Row {
      std::size_t size;
      std::vector<index_t> shape, scales;
    };
    const std::vector<Row> rows{{3221225637, {131072, 6144}, {}},
                                {24727, {6144}, {}},
                                {196770, {6144, 8}, {}},
                                {1611137347, {8, 6144, 32768}, {8, 1, 32768}},
                                {1611399491, {8, 32768, 6144}, {8, 8, 6144}},
                                {37847359, {6144, 6144}, {8, 6144}},
                                {37761334, {6144, 6144}, {1, 6144}},
                                {6293814, {6144, 1024}, {1, 1024}}};
    for (const Row& row : rows) {
      Counter counter;
      std::ostream out(&counter);
      if (row.scales.empty()) PickleWriter(out).write_f32(row.shape, nothing);
      else PickleWriter(out).write_quantized(row.shape, nothing, row.scales, nothing);
      CHECK(counter.count == row.size);
    }
  }
}

TEST_SUITE("files of the reference's own writer") {
  TEST_CASE("every leaf is read, and written again it is the same file") {
    struct Row {
      std::string folder;
      int leaves, quantized;
    };
    for (const Row& row :
         {Row{"moe12", 146, 84}, Row{"moe2", 26, 14}, Row{"dense", 35, 21}, Row{"dense_f32_2x4", 35, 0}}) {
      CAPTURE(row.folder);
      int leaves = 0, with_scales = 0;
      for (const auto& entry : std::filesystem::directory_iterator(data / "grok" / row.folder / "ckpt-0")) {
        CAPTURE(entry.path().string());
        const MappedFile file(entry.path());
        const Leaf leaf = read_pickle(file);
        std::ostringstream out;
        PickleWriter writer(out, {.quantized_module = "model", .bf16_flags = 64});
        if (leaf.scales)
          writer.write_quantized(leaf.weight.shape, from_memory(leaf.weight.data), leaf.scales->shape,
                                 from_memory(leaf.scales->data));
        else writer.write_f32(leaf.weight.shape, from_memory(leaf.weight.data));
        CHECK(out.str() == read_file(entry.path()));
        ++leaves;
        with_scales += leaf.scales ? 1 : 0;
      }
      CHECK(leaves == row.leaves);
      CHECK(with_scales == row.quantized);
    }
  }

  TEST_CASE("the embedding's rows are those that the reference looked up") {
    for (const std::string folder : {"moe12", "moe2", "dense"}) {
      const Leaf embedding = read_pickle(MappedFile(data / "grok" / folder / "ckpt-0" / "tensor00000_000"));
      const SafetensorsFile golden(data / "grok" / folder / "golden.safetensors");
      const auto table = values_as<float>(embedding.weight);
      const auto tokens = values_as<std::size_t>(golden["forward/tokens"]);
      const auto rows = values_as<float>(golden["forward/stage/language_model/in_out_embed"]);
      const auto width = static_cast<std::size_t>(embedding.weight.shape[1]);
      REQUIRE(rows.size() == tokens.size() * width);
      std::size_t different = 0;
      for (std::size_t i = 0; i < rows.size(); ++i)
        different += table[tokens[i / width] * width + i % width] != rows[i];
      CHECK(different == 0);
    }
  }

  TEST_CASE("protocol 5, in one file, as newer Pythons write it") {
    const Leaf plain_leaf = read_pickle(MappedFile(data / "io" / "protocol5_f32.pickle"));
    CHECK(describe(plain_leaf.weight) == "f32[3, 4]");
    CHECK(plain_leaf.weight.offset == 59);
    const Leaf quantized_leaf = read_pickle(MappedFile(data / "io" / "protocol5_quantized.pickle"));
    REQUIRE(quantized_leaf.scales);
    CHECK(describe(quantized_leaf.weight) == "i8[8, 4]");
    CHECK(describe(*quantized_leaf.scales) == "bf16[2, 4]");
  }

  TEST_CASE("numpy 2 and model.py's own module name") {
    std::ostringstream out;
    PickleWriter(out, {.quantized_module = "model", .numpy_module = "numpy._core.multiarray"})
        .write_quantized({2, 1}, from_memory(as_bytes("ab")), {1, 1}, from_memory(as_bytes("cd")));
    const std::string file = out.str();
    const Leaf leaf = parse(file);
    CHECK(values_as<int>(leaf.weight) == std::vector<int>{'a', 'b'});
  }

  TEST_CASE("views keep the file mapped") {
    const Leaf leaf = [] { return read_pickle(MappedFile(data / "grok" / "moe12" / "ckpt-0" / "tensor00005_000")); }();
    REQUIRE(leaf.scales);
    CHECK(leaf.weight.owner == leaf.scales->owner);
    CHECK(values_as<int>(leaf.weight).size() == 32 * 128);  // a crash under ASan if it were unmapped
  }
}

TEST_CASE("values and offsets of small files") {
  const Leaf a = parse(plain);
  CHECK(values_as<float>(a.weight) == std::vector<float>{1, 2, 3, 4, 5, 6});
  const Leaf b = parse(quantized);
  REQUIRE(b.scales);
  CHECK(values_as<int>(b.weight) == std::vector<int>{1, -1, 2, -2, 3, -3, 4, -4});
  CHECK(values_as<float>(*b.scales) == std::vector<float>{1, 2, 1, 2});
  CHECK(b.groups() == 2);
  const std::string four_dimensions = f32_pickle({1, 2, 1, 3}, numbers);
  CHECK(describe(parse(four_dimensions).weight) == "f32[1, 2, 1, 3]");
}

TEST_SUITE("hostile files") {
  struct Row {
    std::string_view name;
    std::string file;
    std::string_view expected;
  };

  std::string edit(const std::string& file, std::string_view from_hex_digits, std::string_view to_hex_digits) {
    return replaced(file, from_hex(from_hex_digits), from_hex(to_hex_digits));
  }

  std::string global(std::string_view module, std::string_view name) {
    auto text = [](std::string_view s) {
      return "\x8c" + std::string(1, static_cast<char>(s.size())) + std::string(s);
    };
    return text(module) + text(name) + "\x93";
  }

  const std::string proto = "\x80\x04";

  const std::vector<Row>& rows() {
    static const std::vector<Row> all{
        {"empty", "", "not a pickle: found ''"},
        {"text", "hello", "not a pickle: found 'hello', expected the opcode PROTO"},
        {"an LFS pointer", "version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "git lfs pull"},
        {"a zip (torch.save)", "PK\x03\x04zip", "not a pickle: found 'PK\\x03\\x04zip'"},
        {"protocol 2", edit(plain, "8004", "8002"), "found pickle protocol 2, expected 4 or 5"},
        {"protocol 6", edit(plain, "8004", "8006"), "found pickle protocol 6"},
        {"only the protocol", proto, "byte 2: needs 1 more bytes, but the file ends 0 bytes later (size 2)"},
        {"a second PROTO", proto + plain, "opcode PROTO: stands inside the file"},
        {"truncated in the numbers", plain.substr(0, plain.size() - 10), "The file is truncated or damaged"},
        {"bytes after STOP", plain + "x", "opcode STOP: 1 bytes follow the end of the pickle"},
        {"two pickles", plain + plain, "bytes follow the end of the pickle"},
        {"STOP at once", proto + ".", "takes a value from an empty stack"},
        {"two values", proto + "NN.", "1 values were left on the stack"},
        {"None", proto + "N.", "found None, expected an array or a QuantizedWeight8bit"},
        {"os.system", proto + global("os", "system") + "\x8c\x04true\x85R.",
         "this file asks to run os.system.\n  A checkpoint needs none of it. It was not executed"},
        {"builtins.eval", proto + global("builtins", "eval"), "asks to run builtins.eval"},
        {"a name in capitals", proto + global("numpy", "Ndarray"), "asks to run numpy.Ndarray"},
        {"an escape sequence in a name", proto + global("\033[2J", "x"), "asks to run \\x1b[2J.x"},
        {"a name of 200 letters", proto + global(std::string(200, 'm'), "x"), "mmm…"},
        {"a jax array", proto + global("jax._src.array", "_reconstruct_array"),
         "run jax._src.array._reconstruct_array"},
        {"GLOBAL", proto + "cos\nsystem\n", "opcode GLOBAL: found the byte 99"},
        {"INST", proto + "(ios\nsystem\n", "opcode INST: found the byte 105"},
        {"EXT1", proto + "\x82\x01", "opcode EXT1"},
        {"PERSID", proto + "Px\n", "opcode PERSID"},
        {"NEXT_BUFFER", proto + "\x97", "opcode NEXT_BUFFER"},
        {"an unknown opcode", proto + "\xff", "byte 2: found the byte 255, which no official checkpoint contains"},
        {"a number as module", proto + "K\1K\1\x93", "found an integer, expected a name"},
        {"a call of a class", proto + global("__main__", "QuantizedWeight8bit") + ")R.",
         "calls something that is no function"},
        {"a call of None", proto + "N)R.", "found None, expected a function"},
        {"arguments of a class", proto + global("__main__", "QuantizedWeight8bit") + "N\x85\x81.",
         "only QuantizedWeight8bit() may"},
        {"an object of another class", proto + global("numpy", "ndarray") + ")\x81.",
         "only QuantizedWeight8bit() may be made"},
        {"a tuple", proto + "))\x86.", "found a tuple, expected an array"},
        {"memo: not remembered", proto + "h\5.", "recalls object 5 of 0 that were remembered"},
        {"memo: huge index", proto + "j\xff\xff\xff\xff.", "recalls object 4294967295 of 0"},
        {"memo: empty stack", proto + "\x94.", "opcode MEMOIZE: takes a value from an empty stack"},
        {"memo bomb", proto + "N" + std::string(1'000'000, '\x94'), "more than 1024 opcodes"},
        {"mark bomb", proto + std::string(1'000'000, '('), "more than 1024 opcodes"},
        {"tuple bomb", proto + "N" + std::string(1'000'000, '\x85'), "more than 1024 opcodes"},
        {"TUPLE without MARK", proto + "NNt.", "there is no MARK on the stack"},
        {"TUPLE2 over a MARK", proto + "N(N\x86.", "takes a value from an empty stack"},
        {"BUILD of None", proto + "NNb.", "gives a state to None"},
        {"SETITEMS of a tuple", proto + ")(NNu.", "found a tuple, expected a dictionary"},
        {"SETITEMS of an odd count", proto + "}(Nu.", "a key without a value"},
        {"a frame too long", edit(f32_pickle({2, 3}, numbers), "8004 95", "8004 95ff"), "opcode FRAME: a frame of "},
        {"Fortran order", read_file(data / "io" / "fortran.pickle"), "Fortran order, expected C order"},
        {"big-endian", edit(plain, "8c013c", "8c013e"), "byte order '>' of dtype f32, expected '<'"},
        {"no byte order", edit(plain, "8c013c", "8c017c"), "byte order '|' of dtype f32"},
        {"dtype of objects", edit(plain, "8c026634", "8c024f38"), "found dtype 'O8', expected a number type"},
        {"complex numbers", edit(plain, "8c026634", "8c026338"), "found dtype 'c8'"},
        {"a structured dtype", edit(plain, "8c013c944e4e4e", "8c013c944e4e88"), "a structured dtype"},
        {"dtype of another version", edit(plain, "284b038c01", "284b048c01"), "unexpected state of a numpy dtype"},
        {"a dtype without state", edit(plain, "284b038c013c944e4e4e4affffffff4affffffff4b00749462", ""),
         "without its byte order"},
        {"an extent too many", edit(plain, "4b024b038694", "4b024b048694"),
         "found 24 bytes at byte 135, expected 32 for f32[2, 4]"},
        {"an extent too few", edit(plain, "4b024b038694", "4b024b028694"), "expected 16 for f32[2, 2]"},
        {"an extent of zero", edit(plain, "4b024b038694", "4b004b038694"), "the extent 0"},
        {"a negative extent", edit(plain, "4b024b038694", "4affffffff4b038694"), "the extent -1"},
        {"a huge extent", edit(plain, "4b024b038694", "8a08ffffffffffffff7f4b038694"),
         "expected more than any file holds"},
        {"a product that overflows", edit(plain, "4b024b038694", "8a050000000001 8a080600000000000040 8694"),
         "more than any file holds"},
        {"an integer of 9 bytes", edit(plain, "4b024b038694", "8a09ffffffffffffffff004b038694"),
         "an integer of 9 bytes"},
        {"an extent that is None", edit(plain, "4b024b038694", "4b024e8694"), "found None, expected an extent"},
        {"a shape that is a list of names", edit(plain, "4b024b038694", "8c0132 8c0133 8694"),
         "found a string, expected an extent"},
        {"9 dimensions", edit(plain, "4b024b038694", "28 4b02 4b03 4b01 4b01 4b01 4b01 4b01 4b01 4b01 74 94"),
         "an array of 9 dimensions"},
        {"numbers as a string", edit(plain, "894318", "898c18"), "found a string, expected the bytes of an array"},
        {"array of version 2", edit(plain, "284b014b024b03", "284b024b024b03"), "unexpected state of an array"},
        {"state twice", replaced(plain, "b.", from_hex("62 68 13") + "b."), "gives an array its state a second time"},
        {"an array without state", plain.substr(0, plain.find("(K\1K\2")) + ".", "the array has no contents"},
        {"a quantised weight without state", proto + global("model", "QuantizedWeight8bit") + ")\x81.",
         "found a QuantizedWeight8bit"},
        {"fields of another class", replaced(quantized, "\6scales", "\6biases"),
         "field 'biases' of a QuantizedWeight8bit"},
        {"weight twice", replaced(quantized, "\6scales", "\6weight"), "field 'weight' of a QuantizedWeight8bit"},
        {"no fields", proto + global("__main__", "QuantizedWeight8bit") + ")\x81}b.",
         "without its 'weight' or its 'scales'"},
        {"a field that is no array", proto + global("model", "QuantizedWeight8bit") + ")\x81}(\x8c\6weightNub.",
         "found None, expected an array"},
        {"f32 scales' dtype", edit(quantized, "8c026931", "8c027531"),
         "weight u8[4, 2] and scales bf16[2, 2] do not belong together"},
        {"three groups of four rows", unframed(quantized_pickle({4, 2}, "12345678", {3, 2}, "123456789012")),
         "the number of scale groups G = 3 must divide the number of rows K = 4"},
        {"more groups than rows", unframed(quantized_pickle({2, 2}, "1234", {4, 2}, "1234567890123456")),
         "G = 4 must divide"},
        {"scales of other columns", unframed(quantized_pickle({2, 2}, "1234", {1, 1}, "12")), "one scale a column"},
        {"scales of other experts", unframed(quantized_pickle({2, 1, 1}, "12", {1, 1, 1}, "12")),
         "leading dimensions (experts)"},
        {"scales of other rank", unframed(quantized_pickle({2, 2}, "1234", {2}, "1234")),
         "as many dimensions as their weight"},
        {"a quantised vector", unframed(quantized_pickle({2}, "12", {1}, "12")), "at least the two dimensions K and N"},
    };
    return all;
  }

  TEST_CASE("are refused in one to three lines that name the file and the fault") {
    for (const Row& row : rows()) {
      CAPTURE(row.name);
      const std::string message = error_of([&] { parse(row.file); });
      CAPTURE(message);
      CHECK(message.starts_with("tensor00007_000: "));
      CHECK(contains(message, row.expected));
      CHECK(is_short(message));
    }
  }

  // Every truncation throws; every changed byte throws or yields arrays inside the file. Under ASan also: no bad
  // access.
  TEST_CASE("of every damage to one byte") {
    for (const std::string& file :
         {plain, quantized, f32_pickle({2, 3}, numbers), read_file(data / "io" / "protocol5_f32.pickle")}) {
      for (std::size_t size = 0; size < file.size(); ++size) {
        const std::string cut = file.substr(0, size);
        CHECK(!error_of([&] { parse(cut); }).empty());
      }
      for (std::size_t at = 0; at < file.size(); ++at)
        for (int value = 0; value < 256; ++value) {
          std::string damaged = file;
          damaged[at] = static_cast<char>(value);
          try {
            const Leaf leaf = parse(damaged);
            const bool in_bounds = inside(leaf.weight, damaged) && (!leaf.scales || inside(*leaf.scales, damaged));
            if (!in_bounds) FAIL("byte ", at, " = ", value, ": a view outside the file");
          } catch (const Error& error) {
            if (!is_short(error.what())) FAIL("byte ", at, " = ", value, ": ", error.what());
          }
        }
    }
  }
}
