// save_model: a model's parameters as safetensors, by the table of names that reads them back bit for bit.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstring>
#include <map>
#include <memory>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "file_tensor.hpp"
#include "safetensors_writer.hpp"
#include "shard_slices.hpp"
#include "transfer.hpp"

namespace tess::io {

struct SaveOptions {
  std::map<std::string, std::string> metadata = {{"format", "pt"}};  // as the hub's readers want it
  std::size_t part_bytes = 0;  // 0: one file; else parts of so many bytes of weights, and an index
};

namespace detail {

/// The tensors of the file; each gathers its elements in memory only while they come.
class Parts {
 public:
  /// Announces what a parameter needs. A tensor of several parameters is announced by each.
  /// False where the elements are those of a parameter that came before: they are tied, and written once.
  bool announce(const Named& named, DType dtype) {
    bool writes = true;
    for (const std::string& tensor : named.tensors)
      writes = announce(tensor, dtype, named.tensor_shape, named.part, named.layout);
    return writes;
  }
  bool announce(const std::string& tensor, DType dtype, const std::vector<index_t>& shape, const Strided& part,
                const Layout& layout = same) {
    const auto [at, is_new] = tensors_.emplace(tensor, Tensor{});
    Tensor& t = at->second;
    if (is_new) order_.push_back(tensor), t.entry = {tensor, dtype, shape};
    else if (t.entry.dtype != dtype || t.entry.shape != shape)
      fail("[save_model] two parameters want the tensor '", tensor, "', as ", name_of(dtype), to_string(shape),
           " and as ", name_of(t.entry.dtype), to_string(t.entry.shape), ".");
    const bool writes = t.coverage.add(shape, part, layout);
    t.writers += writes;
    return writes;
  }

  /// Lays the files out. `path` is the file, or a folder.
  void open(const std::filesystem::path& path, const SaveOptions& options) {
    namespace fs = std::filesystem;
    const bool folder = options.part_bytes > 0 || fs::is_directory(path);
    folder_ = folder ? path : path.parent_path();
    std::error_code ignored;  // a folder that cannot be made is told by the first file
    if (folder) fs::create_directories(folder_, ignored);
    std::vector<std::vector<TensorEntry>> parts(1);
    std::size_t filled = 0;
    for (const std::string& name : order_) {
      Tensor& t = tensors_.at(name);
      if (t.coverage.missing() != 0)
        fail("[save_model] tensor '", name, "' ", to_string(t.entry.shape), ": ", t.coverage.missing(),
             " of its elements belong to no parameter.\n  The table of names reads this model, but cannot write it.");
      const std::size_t bytes = byte_size(t.entry.dtype, t.entry.shape).value_or(0);
      if (options.part_bytes > 0 && filled > 0 && filled + bytes > options.part_bytes) parts.emplace_back(), filled = 0;
      t.part = parts.size() - 1, filled += bytes, total_ += bytes;
      parts.back().push_back(t.entry);
    }
    const fs::path index = folder_ / "model.safetensors.index.json";
    if (options.part_bytes == 0 && folder && fs::exists(index))
      fail(index.string(),
           ": would still be read in place of the new model.safetensors beside it.\n  Remove it first.");
    for (std::size_t i = 0; i < parts.size(); ++i) {
      file_names_.push_back(options.part_bytes > 0 ? numbered(i + 1, parts.size())
                            : folder               ? "model.safetensors"
                                                   : path.filename().string());
      files_.push_back(std::make_unique<SafetensorsWriter>(folder_ / file_names_[i], parts[i], options.metadata));
    }
    if (options.part_bytes > 0) index_ = index;
  }

  /// Where the elements of the tensor go.
  std::byte* begin(const std::string& tensor) {
    Tensor& t = tensors_.at(tensor);
    const auto bytes = static_cast<index_t>(byte_size(t.entry.dtype, t.entry.shape).value_or(0));
    if (t.bytes.size() != bytes) t.bytes = host::Buffer(bytes);
    return t.bytes.data();
  }
  /// One of its parameters has given all that it has.
  void end(const std::string& tensor) {
    Tensor& t = tensors_.at(tensor);
    if (--t.writers > 0) return;
    files_[t.part]->write(tensor, {t.bytes.data(), static_cast<std::size_t>(t.bytes.size())});
    t.bytes = {};
  }

  /// The files appear, the index last.
  void commit() {
    for (const auto& file : files_) file->commit();
    if (index_.empty()) return;
    std::string text =
        "{\n  \"metadata\": {\n    \"total_size\": " + std::to_string(total_) + "\n  },\n  \"weight_map\": {";
    const char* separator = "\n";
    for (const auto& [name, t] : tensors_) {  // sorted
      text += separator + ("    " + safetensors::json_text(name)) + ": " + safetensors::json_text(file_names_[t.part]);
      separator = ",\n";
    }
    text += "\n  }\n}\n";
    AtomicFile file(index_);
    file.write(std::as_bytes(std::span(text)), 0);
    file.commit();
  }

 private:
  struct Tensor {
    TensorEntry entry;
    Coverage coverage;
    index_t writers = 0;  // parameters whose elements are still to come
    std::size_t part = 0;
    host::Buffer bytes;
  };

  /// "model-00002-of-00003.safetensors"
  static std::string numbered(std::size_t i, std::size_t of) {
    const auto five = [](std::size_t n) {
      const std::string digits = std::to_string(n);
      return std::string(digits.size() < 5 ? 5 - digits.size() : 0, '0') + digits;
    };
    return "model-" + five(i) + "-of-" + five(of) + ".safetensors";
  }

  std::map<std::string, Tensor> tensors_;
  std::vector<std::string> order_, file_names_;
  std::vector<std::unique_ptr<SafetensorsWriter>> files_;
  std::filesystem::path folder_, index_;
  std::size_t total_ = 0;
};

/// data[at + i · step] = values[i], i < n, in elements.
template <class T>
void store_run(std::byte* data, index_t at, index_t step, index_t n, const T* values) {
  constexpr auto size = static_cast<index_t>(sizeof(T));
  data += at * size;
  if (step == 1) std::memcpy(data, values, static_cast<std::size_t>(n * size));
  else
    for (index_t i = 0; i < n; ++i) std::memcpy(data + i * step * size, values + i, sizeof(T));
}

/// Columns of a packed slice into `data`, which holds the matrix `m`.
template <class E>
void store_matrix(std::byte* data, const FileMatrix& m, const host::Packed<E>& w, Range k, Range n) {
  std::vector<E> column(static_cast<std::size_t>(k.size()));
  for (index_t c = 0; c < n.size(); ++c) {
    host::unpack_column(w, c, column.data());
    store_run(data, m.first + k.begin * m.down + (n.begin + c) * m.across, m.down, k.size(), column.data());
  }
}

/// int8 weights [.., K, N], and the rows of scales [.., G, N] that the slice touches, from `group` on.
inline void store_matrix(std::byte* data, std::byte* scales, const FileMatrix& m, index_t group,
                         const host::PackedQ8& w, Range k, Range n) {
  for (const host::Block& block : w.blocks())
    for (index_t r = block.row; r < block.row + block.rows; ++r)
      for (index_t c = 0; c < n.size(); ++c) {
        const auto stored = static_cast<int>(w.panel(0)[host::detail::element_offset(w, block, r, c)]);
        data[m.first + (k.begin + r) * m.down + n.begin + c] = static_cast<std::byte>(stored - 128);
      }
  for (index_t g = 0; g < w.groups(); ++g)
    for (index_t c = 0; c < n.size(); ++c)
      store_run(scales, (group + g) * m.down + n.begin + c, 1, 1,
                w.scales(c / host::panel_columns, g) + c % host::panel_columns);
}

/// What the devices hold of the parameter's tensor number `t`, into `data`. Compiled for each element type, whatever
/// the mesh.
template <class T>
void store_tensor(const host::Storage<T>& storage, const Named& named, const ShardSlices& slices, index_t t,
                  std::byte* data, [[maybe_unused]] std::byte* scales) {
  for (std::size_t s = 0; s < slices.distinct.size(); ++s) {
    const ShardSlices::Slice& slice = slices.distinct[s];
    const index_t r = slices.holder[s];
    if constexpr (is_packed<T>) {
      const Range all = slice.size() == 3 ? slice[0] : Range{0, 1}, k = slice.end()[-2], n = slice.end()[-1];
      for (index_t i = all.begin; i < all.end; ++i) {
        if (named.each && i != t) continue;
        const FileMatrix m = matrix_of(named, i);
        const auto& w = storage.matrices(r)[static_cast<std::size_t>(i - all.begin)];
        if constexpr (is_q8<unpacked_t<T>>)
          store_matrix(data, scales, m, i * storage.scale_groups(named.shape.end()[-2]) + k.begin / w.group_rows(), w,
                       k, n);
        else store_matrix(data, m, w, k, n);
      }
    } else {
      const Runs runs(named, slice);
      [[maybe_unused]] std::vector<f32> row(static_cast<std::size_t>(is_table<T> ? runs.length : 0));
      for (index_t i = 0; i < runs.count; ++i) {
        const auto [tensor, at] = runs[i];
        if (static_cast<index_t>(tensor) != t) continue;
        if constexpr (is_table<T>) {
          const host::Table& table = storage.table_of(r);
          table.copy_row(i, row.data());
          if (table.rows) store_run(data, at, runs.step, runs.length, row.data());
          else store_run(data, at, runs.step, runs.length, std::vector<bf16>(row.begin(), row.end()).data());
        } else {
          store_run(data, at, runs.step, runs.length, storage.data(r) + i * runs.length);
        }
      }
    }
  }
}

/// The element type in which a parameter is written: its own, so that nothing is lost.
template <class T, class Storage>
DType written_type(const Storage& storage) {
  using E = unpacked_t<T>;
  if constexpr (is_table<T>) return storage.has_exact_rows() ? DType::f32 : DType::bf16;
  else if constexpr (is_q8<E>) return DType::i8;
  else if constexpr (std::is_same_v<E, f32>) return DType::f32;
  else if constexpr (std::is_same_v<E, f64>) return DType::f64;
  else if constexpr (std::is_same_v<E, i32>) return DType::i32;
  else {
    static_assert(std::is_same_v<E, bf16>, "[save_model] parameters are f32, f64, bf16, i32 or int8 with scales");
    return DType::bf16;
  }
}

struct Announced {
  Named named;
  bool writes;
};

/// What a parameter's tensors of the file are, into `parts`.
template <class T, class Storage>
Announced announced(Parts& parts, const Names& names, const std::string& parameter, const std::vector<index_t>& shape,
                    const Storage& storage) {
  if (storage.empty()) fail("[save_model] ", parameter, ": the model has no numbers yet; load it, or fill it.");
  Named named =
      find_name(names, parameter, static_cast<int>(shape.size()), [&](const std::string&) { return shape[0]; });
  if (named.shape != shape)
    fail("[names] ", parameter, ": is ", to_string(shape), ", but ", to_string(named.shape), " in the table of names.");
  const bool writes = parts.announce(named, written_type<T>(storage));
  if constexpr (is_q8<unpacked_t<T>>) {
    if (!named.is_whole())
      fail("[names] ", parameter, ": int8 weights are written as they lie: the layout must be `same`.");
    std::vector<index_t> scales = shape;
    scales.end()[-2] = storage.scale_groups(shape.end()[-2]);
    parts.announce(named.tensors[0] + "_scale", DType::bf16, scales, lay_out(same, scales, parameter));
  }
  return {std::move(named), writes};
}

template <class T>
void write_parameter(Parts& parts, const Named& named, const ShardSlices& slices, const host::Storage<T>& storage) {
  for (std::size_t t = 0; t < named.tensors.size(); ++t) {
    std::byte* const data = parts.begin(named.tensors[t]);
    std::byte* scales = nullptr;
    if constexpr (is_q8<unpacked_t<T>>) scales = parts.begin(named.tensors[t] + "_scale");
    store_tensor(storage, named, slices, static_cast<index_t>(t), data, scales);
    parts.end(named.tensors[t]);
    if (scales) parts.end(named.tensors[t] + "_scale");
  }
}
}  // namespace detail

/// Writes every parameter of the model as the table names it, in its own element type (packed<f32> as f32;
/// packed<q8<G>> as i8, and bf16 scales in "<name>_scale"; table<bf16> as it was read): load_model gets the same bits,
/// on any mesh, and every mesh writes the same bytes. `path` is the file, or a folder for model.safetensors, or for the
/// parts and their index. Files appear whole or not at all, the index last. Memory: one tensor of the file at a time.
/// Errors: a parameter that no row fits or that has no numbers yet; a tensor with elements that belong to none; what
/// AtomicFile refuses; of a model on GPUs, parts that live in another process.
template <class D, class Model>
void save_model(D& dev, const Model& model, const Names& names, const std::filesystem::path& path,
                const SaveOptions& options = {}) {
  Model saved = model;  // handles
  detail::Parts parts;
  std::vector<detail::Announced> all;
  saved.parameters([&](const auto& scope, auto& x) {
    using T = typename std::remove_reference_t<decltype(x)>::value_type;
    const std::vector<index_t> shape(x.extents().array().begin(), x.extents().array().end());
    all.push_back(detail::announced<T>(parts, names, scope.path(), shape, x.storage()));
  });
  parts.open(path, options);
  std::size_t next = 0;
  saved.parameters([&](const auto&, auto& x) {
    const auto& [named, writes] = all[next++];
    if (writes) detail::write_parameter(parts, named, slices_of(x), on_host(dev, x).storage());
  });
  parts.commit();
}

/// The same of a model on Host.
template <class Model>
void save_model(const Model& model, const Names& names, const std::filesystem::path& path,
                const SaveOptions& options = {}) {
  Host reads(1);  // nothing
  save_model(reads, model, names, path, options);
}

}  // namespace tess::io
