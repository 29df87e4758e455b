// load_model: a model's parameters from a checkpoint in safetensors, by a table of names; all of them, or none.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <array>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "file_tensor.hpp"
#include "load.hpp"
#include "safetensors_checkpoint.hpp"
#include "shard_slices.hpp"

namespace tess::io {

/// Called after each parameter with the number loaded so far and the number in all.
using Progress = std::function<void(index_t done, index_t all)>;

namespace detail {

template <AnyShape S>
Extents<S> extents_of(const std::vector<index_t>& shape) {
  std::array<index_t, static_cast<std::size_t>(S::rank)> all{};
  std::copy(shape.begin(), shape.end(), all.begin());
  return Extents<S>::from(all);
}

/// A parameter and the tensors in which it lies.
struct Stored {
  Named named;
  std::vector<FileTensor> files;  // as named.tensors
};

/// Which tensors a model wants of a checkpoint. Faults are collected, so that the first message can tell of the others.
class Wanted {
 public:
  Wanted(const SafetensorsCheckpoint& checkpoint, const Names& names) : checkpoint_(checkpoint), names_(names) {}

  /// `declared`: the extents that the parameter has already, 0 where it has none. `readable`: by the element type.
  void add(const std::string& parameter, const std::vector<index_t>& declared, bool (*readable)(DType),
           std::string_view expected) {
    const index_t first = declared.empty() ? 0 : declared[0];
    Stored s{find_name(names_, parameter, static_cast<int>(declared.size()),
                       [&](const std::string& tensor) { return first != 0 ? first : count(tensor); }),
             {}};
    bool agrees = true;
    for (std::size_t d = 0; d < declared.size(); ++d)
      agrees = agrees && (declared[d] == 0 || declared[d] == s.named.shape[d]);
    if (!agrees)
      fail("[names] ", parameter, ": the model's type says ", to_string(declared), ", the table of names ",
           to_string(s.named.shape), ".\n  0 stands for a number that the type leaves open.");
    for (const std::string& name : s.named.tensors) {
      find(s, name, readable, expected);
      coverage_[name].add(s.named.tensor_shape, s.named.part, s.named.layout);
    }
    stored_.push_back(std::move(s));
    if (missing_.size() > enough_missing)
      fail(checkpoint_.path().string(), ": at least ", listed(missing_, "missing"),
           ".\n  Is this the checkpoint of another model, or of another configuration?");
  }

  /// All parameters in the order in which they came. Throws where the checkpoint has not exactly what they want.
  std::vector<Stored> check() {
    std::vector<std::string> extra;
    for (const NamedArray& a : checkpoint_.arrays())
      if (!used_.contains(a.name) && !is_unused(names_, a.name)) extra.push_back(a.name);
    if (!missing_.empty() || !extra.empty())
      fail(checkpoint_.path().string(), ": ", missing_.empty() ? "" : listed(missing_, "missing"),
           missing_.empty() || extra.empty() ? "" : "; ", extra.empty() ? "" : listed(extra, "of no parameter"),
           ".\n  Is this the checkpoint of another model, or of another configuration?");
    if (!wrong_.empty())
      fail(wrong_.front(),
           wrong_.size() > 1 ? "\n  Of such tensors there are " + std::to_string(wrong_.size()) + "." : "",
           "\n  Is this the checkpoint of another configuration?");
    for (const auto& [name, coverage] : coverage_)
      if (coverage.missing() != 0)
        fail("[names] tensor '", name, "': ", coverage.missing(), " of its elements are of no parameter.");
    return std::move(stored_);
  }

  /// Throws where a tensor holds a number that is none; each is looked at once.
  void check_finite(host::ThreadPool& pool, const Stored& s) {
    for (const FileTensor& file : s.files) {
      if (!finite_.insert(file.name).second) continue;
      refuse(file.name, file.array, first_non_finite(pool, file.array));
      if (file.scales) refuse(scales_of(file), *file.scales, first_non_finite(pool, *file.scales, scale_exponent));
    }
  }

 private:
  static constexpr std::size_t enough_missing = 100'000;  // a table may name more than memory holds

  void find(Stored& s, const std::string& name, bool (*readable)(DType), std::string_view expected) {
    used_.insert(name);
    if (!checkpoint_.has(name)) {
      missing_.push_back(name);
      return;
    }
    FileTensor file{name, checkpoint_[name], std::nullopt};
    const ArrayView& a = file.array;
    const auto refuse = [&](const std::string& tensor, const ArrayView& array, const std::string& wanted) {
      wrong_.push_back(place(tensor, array) + " should be " + wanted + ", found " + describe(array) + ".");
    };
    if (!readable(a.dtype) || a.shape != s.named.tensor_shape)
      return refuse(name, a, (readable(a.dtype) ? "" : std::string(expected) + " ") + to_string(s.named.tensor_shape));
    if (const std::string scales = scales_of(file); !scales.empty()) {
      used_.insert(scales);
      if (!checkpoint_.has(scales)) {
        missing_.push_back(scales);
        return;
      }
      file.scales = checkpoint_[scales];
      try {
        if (a.dtype == DType::i8) check_quantized(place(name, a), a, *file.scales);
        else check_block_scales(place(name, a), a, *file.scales);
      } catch (const Error& error) {
        wrong_.push_back(error.what());
      }
    }
    s.files.push_back(std::move(file));
  }

  /// The name of its scales; empty for a tensor that has none.
  static std::string scales_of(const FileTensor& file) {
    return file.array.dtype == DType::f8_e4m3 ? file.name + "_scale_inv"
           : file.array.dtype == DType::i8    ? file.name + "_scale"
                                              : "";
  }

  /// How many tensors there are: …0…, …1…, and so on.
  [[nodiscard]] index_t count(const std::string& tensor) const {
    for (index_t n = 0;; ++n) {
      std::string name = tensor;
      fill_in(name, std::to_string(n));
      if (!checkpoint_.has(name)) return std::max<index_t>(n, 1);  // not one: the first is missing
    }
  }

  /// "model.safetensors: tensor 'x' (byte 1234)"
  [[nodiscard]] std::string place(const std::string& tensor, const ArrayView& array, index_t element = 0) const {
    const auto file = MappedFile::path_of(array.owner);
    return (file.empty() ? checkpoint_.path() : file).string() + ": tensor '" + printable(tensor) + "' (byte " +
           std::to_string(array.offset + static_cast<std::size_t>(element) * size_of(array.dtype)) + ")";
  }

  void refuse(const std::string& tensor, const ArrayView& array, const std::optional<index_t>& element) const {
    if (!element) return;
    std::vector<index_t> at(array.shape.size());
    index_t rest = *element;
    for (std::size_t d = at.size(); d-- > 0; rest /= array.shape[d]) at[d] = rest % array.shape[d];
    fail(place(tensor, array, *element), " holds NaN, an infinity or a number far too large at ", to_string(at),
         ".\n  ", "The checkpoint is damaged, or was written by a run that diverged.");
  }

  static std::string listed(const std::vector<std::string>& tensors, std::string_view what) {
    constexpr std::size_t most = 3;
    std::string text = std::to_string(tensors.size()) + (tensors.size() == 1 ? " tensor is " : " tensors are ") +
                       std::string(what) + ": ";
    for (std::size_t i = 0; i < std::min(most, tensors.size()); ++i)
      text += (i ? ", '" : "'") + printable(tensors[i]) + "'";
    return text + (tensors.size() > most ? ", …" : "");
  }

  const SafetensorsCheckpoint& checkpoint_;
  const Names& names_;
  std::vector<Stored> stored_;
  std::set<std::string, std::less<>> used_, finite_;
  std::map<std::string, Coverage> coverage_;
  std::vector<std::string> missing_, wrong_;
};

/// The elements of a shard, in C order, as rows of its last dimension.
template <class T>
ShardRows<T> read_rows(host::ThreadPool& pool, const Stored& s, const ShardSlices::Slice& slice) {
  const auto runs = std::make_shared<const Runs>(s.named, slice);
  return {runs->count, runs->length, [&, runs](index_t first, index_t last, T* out, index_t pitch) {
            const index_t grain = std::max<index_t>(1, (index_t{1} << 14) / std::max<index_t>(1, runs->length));
            pool.for_range(last - first, grain, [&](index_t begin, index_t end) {
              for (index_t i = begin; i < end; ++i) {
                const auto [tensor, at] = (*runs)[first + i];
                read_run(s.files[tensor], at, runs->step, runs->length, out + i * pitch);
              }
            });
          }};
}

/// The matrices of a shard, one below the other, by rows.
template <class E>
ShardRows<E> read_matrices(host::ThreadPool& pool, const Stored& s, Range all, Range k, Range n) {
  return {all.size() * k.size(), n.size(), [&, all, k, n](index_t first, index_t last, E* out, index_t pitch) {
            for (index_t row = first, end; row < last; row = end) {
              const index_t i = all.begin + row / k.size(), begin = row % k.size();
              end = std::min(last, row - begin + k.size());
              read_matrix(pool, s.files[s.named.tensor(i)], matrix_of(s.named, i),
                          {k.begin + begin, k.begin + begin + end - row}, n, out + (row - first) * pitch, pitch);
            }
          }};
}

/// The shards of a parameter: matrices as the device wants them, or elements in C order. Compiled for each element type,
/// whatever the mesh.
template <class T, class D>
auto read_storage(D& dev, const Stored& s, const ShardSlices& slices) {
  host::ThreadPool& pool = dev.pool();
  const auto all = [](const ShardSlices::Slice& slice) { return slice.size() == 3 ? slice[0] : Range{0, 1}; };
  if constexpr (!is_packed<T>) {
    return place_rows<T>(dev, slices, [&](const ShardSlices::Slice& slice) { return read_rows<T>(pool, s, slice); });
  } else if constexpr (is_host<D>) {
    using E = unpacked_t<T>;
    return host::Storage<T>(shards_of(slices, [&](const ShardSlices::Slice& slice) {
      std::vector<host::Packed<E>> matrices;
      for (index_t i = all(slice).begin; i < all(slice).end; ++i)
        matrices.push_back(
            pack<E>(pool, s.files[s.named.tensor(i)], matrix_of(s.named, i), slice.end()[-2], slice.end()[-1]));
      return std::make_shared<const std::vector<host::Packed<E>>>(std::move(matrices));
    }));
  } else {
    using E = unpacked_t<T>;
    return typename D::template storage<T>(upload_weights(dev, slices.of, [&](std::size_t shard) {
      const auto& slice = slices.distinct[shard];
      return ShardWeights<E>{all(slice).size(),
                             read_matrices<E>(pool, s, all(slice), slice.end()[-2], slice.end()[-1])};
    }));
  }
}

template <class T>
bool stored_as(DType dtype) {
  if constexpr (is_q8<unpacked_t<T>>) return dtype == DType::i8;
  else return readable_as<unpacked_t<T>>(dtype);
}
template <class T>
constexpr std::string_view stored_types = is_q8<unpacked_t<T>>                 ? "i8 with bf16 scales"
                                          : std::is_same_v<unpacked_t<T>, i32> ? "i32"
                                                                               : "f32, bf16, f16, f64 or f8_e4m3";

/// A tensor of X from where it is stored.
template <AnyTensor X>
X read_tensor(typename X::device& dev, const Stored& s) {
  using T = typename X::value_type;
  if constexpr (is_q8<unpacked_t<T>> || is_table<T>) {
    if (!s.named.is_whole())
      fail("[names] ", s.named.parameter,
           ": embeddings and int8 weights are read as they lie: the layout must be `same`.");
    X x;
    load(dev, x, Leaf{s.files[0].array, s.files[0].scales}, s.named.tensors[0]);
    return x;
  } else {
    static_assert(!is_packed<T> || X::rank == 2 || X::rank == 3, "[load_model] packed weights are [K, N] or [E, K, N]");
    X x(extents_of<typename X::shape>(s.named.shape), {});
    x.storage() = read_storage<T>(dev, s, slices_of(x));
    return x;
  }
}
}  // namespace detail

/// Fills every parameter of the model from the checkpoint, each device its own slices. Elements are converted exactly,
/// or rounded once where the parameter's type is narrower; f8_e4m3 are multiplied with their scales, the tensor named
/// "<name>_scale_inv". Extents that types leave open are those of the table, which the file must have.
///   model.parameters(f) calls f(path, tensor) for ShardedTensors on `dev`: packed<f32 | bf16> [K, N] and [E, K, N],
///   packed<q8<G>> (i8, and bf16 scales [..., G, N] in "<name>_scale"), table<bf16>, f32, bf16, f64, i32 of any rank.
/// Memory of the host: on Host the parameters, and one slice of one matrix for tensors that are neither f32 nor bf16 by
/// rows or columns; for GPUs the blocks of pinned memory that parameters come through.
/// Errors: tensors missing or too many (counted, the first named); a wrong shape or dtype; scales that do not fit; NaN
/// or infinite weights; parameters that no row of the table fits. The model is then as it was before.
template <class D, class Model>
void load_model(D& dev, Model& model, const SafetensorsCheckpoint& checkpoint, const Names& names,
                const Progress& progress = {}) {
  Model loaded = model;
  detail::Wanted wanted(checkpoint, names);
  loaded.parameters([&](const auto& path, auto& x) {
    using X = std::remove_reference_t<decltype(x)>;
    std::vector<index_t> declared;
    declared.reserve(X::rank);
    for (int d = 0; d < X::rank; ++d) declared.push_back(std::max<index_t>(0, x.extent(d)));
    wanted.add(path.path(), declared, detail::stored_as<typename X::value_type>,
               detail::stored_types<typename X::value_type>);
  });
  const std::vector<detail::Stored> stored = wanted.check();
  std::size_t i = 0;
  loaded.parameters([&](const auto&, auto& x) {
    const detail::Stored& s = stored[i];
    wanted.check_finite(dev.pool(), s);
    x = detail::read_tensor<std::remove_reference_t<decltype(x)>>(dev, s);
    if (progress) progress(static_cast<index_t>(++i), static_cast<index_t>(stored.size()));
    else ++i;
  });
  model = std::move(loaded);
}

}  // namespace tess::io
