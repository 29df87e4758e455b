// A parameter out of a Python pickle without Python: reads the grammar of the official checkpoint, executes nothing.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "../core/error.hpp"
#include "array.hpp"
#include "leaf.hpp"
#include "mapped_file.hpp"
#include "pickle_opcodes.hpp"
#include "pickle_stack.hpp"
#include "pickle_values.hpp"
#include "printable.hpp"

namespace tess::io {
namespace detail::pickle {

/// A stack machine for the opcodes that a numpy array or a QuantizedWeight8bit needs. Every opcode costs one of
/// `max_steps`, which bounds values, stack and memo: whatever the file says, the machine holds a few kilobytes.
class Machine : Stack {
 public:
  using Stack::Stack;

  Leaf run() {
    check_magic();
    for (int step = 0; step < max_steps; ++step) {
      at_ = pos_;
      op_ = 0;  // a file that ends here ends between two opcodes
      op_ = number<std::uint8_t>();
      if (static_cast<Op>(op_) == Op::stop) return finish();
      execute(static_cast<Op>(op_));
    }
    refuse("more than ", max_steps, " opcodes; a parameter needs at most 200. This is not a checkpoint's file.");
  }

 private:
  static constexpr int max_steps = 1024;
  static constexpr std::size_t max_rank = 8;

  void check_magic() const {
    const std::string_view text(reinterpret_cast<const char*>(file_.data()), file_.size());
    if (text.starts_with("version https://git-lfs"))
      refuse("this is a Git LFS pointer, not the file itself.\n  Fetch the contents with `git lfs pull`.");
    if (!text.starts_with('\x80'))
      refuse("not a pickle: found '", printable(text.substr(0, 8)), "', expected the opcode PROTO (0x80).\n  ",
             "Is this a tensorNNNNN_000 of a Grok-1 checkpoint?");
  }

  void execute(Op op) {
    switch (op) {
      case Op::proto:
        return proto();
      case Op::frame:
        return frame();
      case Op::short_binunicode:
        return text(number<std::uint8_t>());
      case Op::binunicode:
        return text(number<std::uint32_t>());
      case Op::short_binbytes:
        return bytes(number<std::uint8_t>());
      case Op::binbytes:
        return bytes(number<std::uint32_t>());  // unsigned: the embedding has 0xc0000000 bytes
      case Op::binbytes8:
      case Op::bytearray8:
        return bytes(number<std::uint64_t>());
      case Op::binint1:
        return push(std::int64_t{number<std::uint8_t>()});
      case Op::binint2:
        return push(std::int64_t{number<std::uint16_t>()});
      case Op::binint:
        return push(std::int64_t{number<std::int32_t>()});
      case Op::long1:
        return long_integer(number<std::uint8_t>());
      case Op::none:
        return push(None{});
      case Op::newtrue:
        return push(true);
      case Op::newfalse:
        return push(false);
      case Op::mark:
        return push(Mark{});
      case Op::empty_tuple:
        return push(Tuple{});
      case Op::tuple1:
        return push(Tuple{pop(1)});
      case Op::tuple2:
        return push(Tuple{pop(2)});
      case Op::tuple3:
        return push(Tuple{pop(3)});
      case Op::tuple:
        return push(Tuple{pop_to_mark()});
      case Op::empty_dict:
        return push(Dict{});
      case Op::setitems:
        return set_items();
      case Op::memoize:
        return memo_.push_back(top());
      case Op::binget:
        return recall(number<std::uint8_t>());
      case Op::long_binget:
        return recall(number<std::uint32_t>());
      case Op::stack_global:
        return stack_global();
      case Op::newobj:
        return new_object();
      case Op::reduce:
        return reduce();
      case Op::build:
        return build();
      case Op::stop:
        break;  // not reached: run() returns
    }
    refuse("found the byte ", op_, ", which no official checkpoint contains; nothing was executed.\n  ",
           "Write the parameter again as a plain numpy array: pickle.dump(numpy.asarray(x), file, protocol=4).");
  }

  void proto() {
    const int version = number<std::uint8_t>();
    if (pos_ != 2) refuse("stands inside the file; it belongs at its beginning.");
    if (version != 4 && version != 5)
      refuse("found pickle protocol ", version,
             ", expected 4 or 5.\n  Write it again: pickle.dump(x, file, protocol=4).");
  }

  void frame() {  // a hint to read ahead; as in CPython, it must fit the file and means nothing else
    const auto length = number<std::uint64_t>();
    if (length > file_.size() - pos_)
      refuse("a frame of ", length, " bytes, but only ", file_.size() - pos_, " follow.\n  ",
             "The file is truncated or damaged: download or copy it again.");
  }

  void long_integer(std::size_t size) {
    if (size > sizeof(std::int64_t)) refuse("an integer of ", size, " bytes, expected at most 8.");
    std::uint64_t bits = 0;
    const auto digits = take(size);
    for (std::size_t i = 0; i < size; ++i) bits |= std::to_integer<std::uint64_t>(digits[i]) << (8 * i);
    if (size > 0 && size < 8 && (bits >> (8 * size - 1))) bits |= ~std::uint64_t{0} << (8 * size);
    push(static_cast<std::int64_t>(bits));
  }

  void set_items() {
    std::vector<Id> items = pop_to_mark();
    if (items.size() % 2 != 0) refuse("a key without a value.");
    std::vector<Id>& all = as<Dict>(top(), "a dictionary").items;
    all.insert(all.end(), items.begin(), items.end());
  }

  void recall(std::size_t index) {
    if (index >= memo_.size()) refuse("recalls object ", index, " of ", memo_.size(), " that were remembered.");
    stack_.push_back(memo_[index]);
  }

  void stack_global() {
    const Text name = as<Text>(pop(), "a name");
    const Text module = as<Text>(pop(), "the name of a module");
    for (const AllowedName& allowed : allowed_names)
      if (allowed.module == module && allowed.name == name) return push(allowed.global);
    refuse("this file asks to run ", printable(module), ".", printable(name), ".\n  ",
           "A checkpoint needs none of it. It was not executed; do not load this file with Python.");
  }

  void new_object() {
    const bool no_arguments = as<Tuple>(pop(), "a tuple of arguments").items.empty();
    if (!equal(pop(), Global::quantized_weight) || !no_arguments)
      refuse("makes an object of a class; only QuantizedWeight8bit() may be made.");
    push(Quantized{});
  }

  void reduce() {
    const std::vector<Id> args = as<Tuple>(pop(), "a tuple of arguments").items;
    switch (as<Global>(pop(), "a function")) {
      case Global::reconstruct:
        return make_empty_array(args);
      case Global::frombuffer:
        return make_array_of_buffer(args);
      case Global::dtype:
        return make_dtype(args);
      default:
        refuse("calls something that is no function of an official checkpoint; it was not executed.");
    }
  }

  void make_empty_array(const std::vector<Id>& args) {  // _reconstruct(numpy.ndarray, (0,), b'b')
    if (args.size() != 3 || !equal(args[0], Global::ndarray) || !is<Tuple>(args[1]) || !is<Bytes>(args[2]))
      refuse("unexpected arguments of numpy's _reconstruct; expected (numpy.ndarray, (0,), b'b').");
    push(Array{});
  }

  void make_array_of_buffer(const std::vector<Id>& args) {  // _frombuffer(buffer, dtype, shape, 'C')
    if (args.size() != 4) refuse("numpy's _frombuffer has ", args.size(), " arguments, expected 4.");
    if (!equal(args[3], Text("C"))) refuse_fortran_order();
    push(Array{array(args[2], args[1], args[0])});
  }

  void make_dtype(const std::vector<Id>& args) {  // numpy.dtype('f4', False, True)
    if (args.size() != 3 || !is<bool>(args[1]) || !is<bool>(args[2]))
      refuse("unexpected arguments of numpy.dtype; expected (type, False, True).");
    if (equal(args[0], Global::bfloat16)) return push(Dtype{DType::bf16});
    const Text code = as<Text>(args[0], "the code of a dtype");
    for (const NumpyCode& known : numpy_codes)
      if (known.code == code) return push(Dtype{known.dtype});
    refuse("found dtype '", printable(code), "', expected a number type such as f4, i1 or ml_dtypes.bfloat16.");
  }

  void build() {
    const Id state = pop();
    const Id target = top();
    if (is<Dtype>(target)) return build_dtype(std::get<Dtype>(values_[target]), state);
    if (is<Array>(target)) return build_array(std::get<Array>(values_[target]), state);
    if (is<Quantized>(target)) return build_quantized(std::get<Quantized>(values_[target]), state);
    refuse("gives a state to ", kind_names[values_[target].index()], ", which has none.");
  }

  void build_dtype(Dtype& dtype, Id state) {  // (3, '<', None, None, None, -1, -1, 0)
    const std::vector<Id>& items = as<Tuple>(state, "the state of a numpy dtype").items;
    if (items.size() < 8 || !equal<std::int64_t>(items[0], 3))
      refuse("unexpected state of a numpy dtype; expected (3, '<', None, None, None, ...).");
    if (dtype.has_order) refuse("gives a numpy dtype its state a second time.");
    if (!is<None>(items[2]) || !is<None>(items[3]) || !is<None>(items[4]))
      refuse("a structured dtype; expected numbers.");
    const Text order = as<Text>(items[1], "a byte order");
    if (order != "<" && !(order == "|" && size_of(dtype.dtype) == 1))
      refuse("byte order '", printable(order), "' of dtype ", name_of(dtype.dtype), ", expected '<' (little-endian).");
    dtype.has_order = true;
  }

  void build_array(Array& target, Id state) {  // (1, shape, dtype, is_fortran, bytes)
    const std::vector<Id>& items = as<Tuple>(state, "the state of an array").items;
    if (items.size() != 5 || !equal<std::int64_t>(items[0], 1) || !is<bool>(items[3]))
      refuse("unexpected state of an array; expected (1, shape, dtype, False, bytes).");
    if (target.view) refuse("gives an array its state a second time.");
    if (!equal(items[3], false)) refuse_fortran_order();
    target.view = array(items[1], items[2], items[4]);
  }

  [[noreturn]] void refuse_fortran_order() const {
    refuse("an array in Fortran order, expected C order.\n  Write it again from numpy.ascontiguousarray(x).");
  }

  ArrayView array(Id shape, Id dtype, Id data) {
    const Dtype& type = as<Dtype>(dtype, "a numpy dtype");
    if (!type.has_order) refuse("a numpy dtype without its byte order.");
    ArrayView view;
    view.dtype = type.dtype;
    for (const Id extent : as<Tuple>(shape, "a shape").items) {
      const std::int64_t n = as<std::int64_t>(extent, "an extent");
      if (n < 1) refuse("an array with the extent ", n, "; a parameter has positive extents.");
      view.shape.push_back(static_cast<index_t>(n));
    }
    if (view.shape.size() > max_rank)
      refuse("an array of ", view.shape.size(), " dimensions, expected at most ", max_rank, ".");
    const auto size = byte_size(view.dtype, view.shape);
    const Bytes& bytes = as<Bytes>(data, "the bytes of an array");
    if (size != bytes.data.size())
      refuse("found ", bytes.data.size(), " bytes at byte ", bytes.offset, ", expected ",
             size ? std::to_string(*size) : "more than any file holds", " for ", describe(view), ".");
    view.data = bytes.data;
    view.offset = bytes.offset;
    return view;
  }

  void build_quantized(Quantized& target, Id state) {  // {'weight': array, 'scales': array}
    if (target.weight) refuse("gives a QuantizedWeight8bit its state a second time.");
    const std::vector<Id>& items = as<Dict>(state, "the fields of a QuantizedWeight8bit").items;
    for (std::size_t i = 0; i < items.size(); i += 2) {
      const Text key = as<Text>(items[i], "the name of a field");
      std::optional<ArrayView>* field = key == "weight" ? &target.weight : key == "scales" ? &target.scales : nullptr;
      if (!field || *field)
        refuse("field '", printable(key), "' of a QuantizedWeight8bit; expected 'weight' and 'scales', each once.");
      *field = as<Array>(items[i + 1], "an array").view;
      if (!*field) refuse("field '", printable(key), "' is an array without contents.");
    }
    if (!target.weight || !target.scales) refuse("a QuantizedWeight8bit without its 'weight' or its 'scales'.");
    check_quantized(name_, *target.weight, *target.scales);
  }

  Leaf finish() {
    if (pos_ != file_.size())
      refuse(file_.size() - pos_,
             " bytes follow the end of the pickle; expected none. Is this another file's remainder?");
    const Id result = pop();
    if (!stack_.empty()) refuse(stack_.size(), " values were left on the stack.");
    if (const auto* quantized = std::get_if<Quantized>(&values_[result]); quantized && quantized->weight)
      return {*quantized->weight, quantized->scales};
    const Array& plain = as<Array>(result, "an array or a QuantizedWeight8bit with contents");
    if (!plain.view) refuse("the array has no contents.");
    return {*plain.view, std::nullopt};
  }
};

}  // namespace detail::pickle

/// The parameter in the pickle `file`, as views into it. Nothing is executed and nothing is copied.
/// Errors (`name` begins the message; it names byte and opcode): anything but a numpy array in C order or a
/// QuantizedWeight8bit of an int8 array and its bf16 scales, written with pickle protocol 4 (or 5, in one file).
inline Leaf parse_pickle(std::span<const std::byte> file, std::string_view name) {
  return detail::pickle::Machine(file, name).run();
}

/// The same for a mapped file, which the returned views keep alive.
inline Leaf read_pickle(const MappedFile& file) {
  Leaf leaf = parse_pickle(file.bytes(), file.path().string());
  leaf.weight.owner = file.owner();
  if (leaf.scales) leaf.scales->owner = file.owner();
  return leaf;
}

}  // namespace tess::io
