// Writes parameters as CPython's pickle.dump(leaf, file, protocol=4) does, byte for byte, in bounded memory.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <numeric>
#include <ostream>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tess/core/types.hpp"

namespace tess::test {

/// What differs between writers of the same grammar. The defaults are the official checkpoint's.
struct PickleDialect {
  std::string quantized_module = "__main__";           // "model" where model.py was imported
  std::string numpy_module = "numpy.core.multiarray";  // "numpy._core.multiarray" since numpy 2
  int bf16_flags = 0;                                  // 64 with newer ml_dtypes
};

/// Fills `chunk` with the next bytes of a payload; called with consecutive chunks of at most 1 MiB.
using ByteSource = std::function<void(std::span<std::byte> chunk)>;

inline ByteSource from_memory(std::span<const std::byte> bytes) {
  return [bytes](std::span<std::byte> chunk) mutable {
    std::copy_n(bytes.begin(), chunk.size(), chunk.begin());
    bytes = bytes.subspan(chunk.size());
  };
}

/// One parameter to one stream; C order, little-endian. After the reference's own writer: xai-org/grok-1 checkpoint.py.
class PickleWriter {
 public:
  using Shape = std::vector<index_t>;

  explicit PickleWriter(std::ostream& out, PickleDialect dialect = {}) : out_(out), dialect_(std::move(dialect)) {}

  /// A plain numpy array of float32.
  void write_f32(const Shape& shape, const ByteSource& data) {
    begin();
    array({"f4", "<", 4}, shape, data);
    end();
  }

  /// A QuantizedWeight8bit: int8 weight [..., K, N], bfloat16 scales [..., G, N].
  void write_quantized(const Shape& shape, const ByteSource& weight, const Shape& scales_shape,
                       const ByteSource& scales) {
    begin();
    global(dialect_.quantized_module, "QuantizedWeight8bit");
    op(")\x81");  // EMPTY_TUPLE NEWOBJ
    memoize();
    op("}");
    memoize();
    op("(");
    text("weight");
    array({"i1", "|", 1}, shape, weight);
    text("scales");
    array({"bfloat16", "<", 2}, scales_shape, scales);
    op("ub");  // SETITEMS BUILD
    end();
  }

 private:
  struct Dtype {
    std::string_view code, order;
    std::uint64_t size;
  };
  static constexpr std::size_t frame_target = 64 * 1024, frame_minimum = 4, chunk_size = 1024 * 1024;

  void begin() {
    frame_.clear();
    memo_.clear();
    remembered_ = 0;
    out_ << "\x80\x04";
  }

  void end() {
    op(".");
    commit_frame();
  }

  // --- frames: opcodes gather in one until, before an object, it has 64 KiB; payloads of that size stand outside
  // -------

  void commit_frame() {
    if (frame_.size() >= frame_minimum) out_ << '\x95' << little_endian(frame_.size(), 8);
    out_ << frame_;
    frame_.clear();
  }

  void next_object() {
    if (frame_.size() >= frame_target) commit_frame();
  }

  static std::string little_endian(std::uint64_t value, int size) {
    std::string bytes;
    for (int i = 0; i < size; ++i) bytes += static_cast<char>(value >> (8 * i) & 0xff);
    return bytes;
  }

  // --- opcodes -------------------------------------------------------------------------------------------------------

  void op(std::string_view codes) { frame_ += codes; }

  void memoize(const std::string& key = {}) {
    if (!key.empty()) memo_[key] = remembered_;
    ++remembered_;
    op("\x94");
  }

  bool recall(const std::string& key) {
    const auto found = memo_.find(key);
    if (found == memo_.end()) return false;
    frame_ += 'h' + little_endian(found->second, 1);
    return true;
  }

  void text(std::string_view s) {
    next_object();
    const std::string key = "text " + std::string(s);
    if (recall(key)) return;
    frame_ += '\x8c' + little_endian(s.size(), 1) + std::string(s);
    memoize(key);
  }

  void global(std::string_view module, std::string_view name) {
    next_object();
    const std::string key = "global " + std::string(module) + " " + std::string(name);
    if (recall(key)) return;
    text(module);
    text(name);
    op("\x93");
    memoize(key);
  }

  void integer(std::int64_t value) {
    next_object();
    const auto bits = static_cast<std::uint64_t>(value);
    if (value >= 0 && value < 0x100) frame_ += 'K' + little_endian(bits, 1);
    else if (value >= 0 && value < 0x10000) frame_ += 'M' + little_endian(bits, 2);
    else frame_ += 'J' + little_endian(bits, 4);
  }

  void constants(std::string_view codes) {  // None, True, False
    for (const char code : codes) {
      next_object();
      op({&code, 1});
    }
  }

  void mark() {  // of a tuple
    next_object();
    op("(");
  }

  void new_tuple(std::string_view code) {
    op(code);
    memoize();
  }

  void payload(std::uint64_t size, const ByteSource& source) {
    next_object();
    std::string head = "C" + little_endian(size, 1);                             // SHORT_BINBYTES
    if (size >= 0x100) head = "B" + little_endian(size, 4);                      // BINBYTES
    if (size >= std::uint64_t{1} << 32) head = '\x8e' + little_endian(size, 8);  // BINBYTES8
    op_or_bypass(size, head);
    std::vector<std::byte> chunk;
    for (std::uint64_t done = 0; done < size; done += chunk.size()) {
      chunk.resize(static_cast<std::size_t>(std::min<std::uint64_t>(chunk_size, size - done)));
      source(chunk);
      op_or_bypass(size, {reinterpret_cast<const char*>(chunk.data()), chunk.size()});
    }
    memoize();
  }

  void op_or_bypass(std::uint64_t payload_size, std::string_view bytes) {
    if (payload_size < frame_target) return op(bytes);
    commit_frame();
    out_ << bytes;
  }

  void dtype(const Dtype& type) {  // numpy.dtype(code, False, True), state (3, order, None, None, None, -1, -1, 0)
    global("numpy", "dtype");
    const bool is_bf16 = type.code == "bfloat16";
    if (is_bf16) global("ml_dtypes", type.code);
    else text(type.code);
    constants("\x89\x88");
    new_tuple("\x87");
    op("R");
    memoize();
    mark();
    integer(3);
    text(type.order);
    constants("NNN");
    integer(is_bf16 ? 2 : -1);
    integer(is_bf16 ? 2 : -1);
    integer(is_bf16 ? dialect_.bf16_flags : 0);
    new_tuple("t");
    op("b");
  }

  void shape_tuple(const Shape& shape) {
    if (shape.empty()) return op(")");
    if (shape.size() > 3) mark();
    for (const index_t extent : shape) integer(extent);
    new_tuple(shape.size() == 1 ? "\x85" : shape.size() == 2 ? "\x86" : shape.size() == 3 ? "\x87" : "t");
  }

  void array(const Dtype& type, const Shape& shape, const ByteSource& data) {
    global(dialect_.numpy_module, "_reconstruct");  // of (numpy.ndarray, (0,), b'b')
    global("numpy", "ndarray");
    integer(0);
    new_tuple("\x85");
    next_object();
    if (!recall("b'b'")) {
      op("C\1b");
      memoize("b'b'");
    }
    new_tuple("\x87");
    op("R");
    memoize();
    mark();
    integer(1);  // state: (1, shape, dtype, is_fortran, bytes)
    shape_tuple(shape);
    dtype(type);
    constants("\x89");
    payload(std::accumulate(shape.begin(), shape.end(), type.size,
                            [](std::uint64_t n, index_t extent) { return n * static_cast<std::uint64_t>(extent); }),
            data);
    new_tuple("t");
    op("b");
  }

  std::ostream& out_;
  PickleDialect dialect_;
  std::string frame_;
  std::map<std::string, std::uint64_t> memo_;
  std::uint64_t remembered_ = 0;
};

}  // namespace tess::test
