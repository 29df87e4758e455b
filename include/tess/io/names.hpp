// Names: which tensor of a file is which parameter of a model, as a table that a person can read.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <algorithm>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "array.hpp"
#include "printable.hpp"

namespace tess::io {

/// Where the elements of a parameter lie in its tensor of the file.
struct Layout {
  bool transposed = false;       // the last two dimensions have changed places
  index_t column = 0, step = 1;  // of the last dimension every step-th, beginning with `column`
  index_t blocks = 0;         // 0, or the rows are so many blocks of equal size, each of which is a matrix of its own
  index_t row = 0, rows = 0;  // of each block, its rows [row, row + rows)

  friend constexpr bool operator==(const Layout&, const Layout&) = default;
};

inline constexpr Layout same{};        // as the parameter: [..., K, N]
inline constexpr Layout out_in{true};  // as torch.nn.Linear: [..., N, K] of the file is the parameter's [..., K, N]

/// File [..., step · N] -> parameter [..., N]: every step-th column from `first`; interleaved gate and up are
/// columns(0, 2) and columns(1, 2).
constexpr Layout columns(index_t first, index_t step) { return {false, first, step}; }

/// File [blocks · R, K] -> parameter [blocks, count, K]: the rows [first, first + count) of each block of R; one matrix
/// a head, say.
constexpr Layout block_rows(index_t blocks, index_t first, index_t count) {
  return {false, 0, 1, blocks, first, count};
}

/// The same with the last two dimensions exchanged: transposed(block_rows(H, 0, R)) is [H, K, R].
constexpr Layout transposed(Layout layout) {
  layout.transposed = !layout.transposed;
  return layout;
}

/// One row of the table.
///   {"layers_{}/attention/query/w", "model.layers.{}.self_attn.q_proj.weight", {q, hidden}, io::out_in}
/// Each {} of the parameter's path is a number that stands in the tensor's name again. One {} more in the name counts
/// the tensors of which the parameter [E, ...] is made. Their number comes first in the shape; it may be left out where
/// the type says it, or may be what the file has:
///   {"layers_{}/experts/up/w", "model.layers.{}.mlp.experts.{}.up_proj.weight", {experts, ffn, hidden}, io::out_in}
/// A tensor may serve several parameters. Of several rows that fit a parameter, the first counts.
struct Name {
  std::string parameter;            // its path in the model, or `unused`
  std::string tensor;               // its name in the file
  std::vector<index_t> shape = {};  // as the file has it
  Layout layout = same;
};
using Names = std::vector<Name>;

/// In place of a parameter: tensors that the model has no use for, {io::unused, "model.layers.{}.rotary_emb.inv_freq"}.
/// In their names, and only there, * stands for any characters.
inline constexpr const char* unused = "";

/// A strided part of a C-ordered array: element (i, j, ...) is first + i · stride[0] + j · stride[1] + ...
struct Strided {
  std::vector<index_t> shape, stride;
  index_t first = 0;

  friend bool operator==(const Strided&, const Strided&) = default;
};

/// Throws where the shape has too few dimensions for the layout, or does not divide. `name` begins the message.
inline Strided lay_out(const Layout& layout, const std::vector<index_t>& shape, std::string_view name) {
  Strided s{shape, std::vector<index_t>(shape.size(), 1), 0};
  const auto refuse = [&](const auto&... why) {
    fail("[names] ", std::string(name), ": the shape ", to_string(shape), " ", why...);
  };
  if (!byte_size(DType::f64, shape)) refuse("is larger than any file");
  for (std::size_t d = shape.size(); d-- > 1;) s.stride[d - 1] = s.stride[d] * shape[d];
  if (layout.step != 1) {
    if (shape.empty() || layout.step < 1 || layout.column < 0 || layout.column >= layout.step ||
        shape.back() % layout.step != 0)
      refuse("has no columns ", layout.column, ", ", layout.column, " + ", layout.step, ", ...");
    s.first = layout.column, s.stride.back() = layout.step, s.shape.back() /= layout.step;
  }
  if (layout.blocks != 0) {
    const index_t all = shape.empty() ? 0 : shape.front();
    if (shape.size() != 2 || layout.blocks < 1 || all % layout.blocks != 0 || layout.row < 0 || layout.rows < 0 ||
        layout.row + layout.rows > all / layout.blocks)
      refuse("has no ", layout.blocks, " blocks with rows ", layout.row, " to ", layout.row + layout.rows);
    s.first += layout.row * s.stride[0];
    s.shape = {layout.blocks, layout.rows, s.shape[1]};
    s.stride = {all / layout.blocks * s.stride[0], s.stride[0], s.stride[1]};
  }
  if (layout.transposed) {
    if (s.shape.size() < 2) refuse("has no two dimensions to exchange");
    std::swap(s.shape.end()[-1], s.shape.end()[-2]);
    std::swap(s.stride.end()[-1], s.stride.end()[-2]);
  }
  return s;
}

namespace detail {

inline index_t product(const std::vector<index_t>& shape) {
  index_t n = 1;
  for (const index_t e : shape) n *= e;
  return n;
}

/// Does `text` fit `pattern`? {} is a number, * (where `stars`) any characters. The numbers go into `numbers`.
inline bool fits(std::string_view pattern, std::string_view text, std::vector<std::string>& numbers, bool stars) {
  while (!pattern.empty()) {
    if (stars && pattern.front() == '*') {
      pattern.remove_prefix(1);
      for (std::size_t i = 0; i <= text.size(); ++i)
        if (fits(pattern, text.substr(i), numbers, stars)) return true;
      return false;
    }
    if (pattern.starts_with("{}")) {
      const std::size_t digits = std::min(text.find_first_not_of("0123456789"), text.size());
      if (digits == 0) return false;
      numbers.emplace_back(text.substr(0, digits));
      pattern.remove_prefix(2), text.remove_prefix(digits);
    } else {
      if (text.empty() || text.front() != pattern.front()) return false;
      pattern.remove_prefix(1), text.remove_prefix(1);
    }
  }
  return text.empty();
}

/// `pattern` with its first {} replaced; false where it has none.
inline bool fill_in(std::string& pattern, const std::string& number) {
  const std::size_t hole = pattern.find("{}");
  if (hole != pattern.npos) pattern.replace(hole, 2, number);
  return hole != pattern.npos;
}
}  // namespace detail

/// A parameter as the table describes it.
struct Named {
  std::string parameter;
  std::vector<std::string> tensors;   // one, or one for every index of the parameter's first dimension
  bool each = false;                  // the latter
  std::vector<index_t> tensor_shape;  // of each tensor, in the file
  Strided part;                       // of each tensor
  std::vector<index_t> shape;         // of the parameter
  Layout layout = same;               // which makes the part

  /// The tensor in which index i of the first dimension lies.
  [[nodiscard]] std::size_t tensor(index_t i) const { return each ? static_cast<std::size_t>(i) : 0; }
  /// Elements of the tensor from one index of dimension d to the next; none from tensor to tensor.
  [[nodiscard]] index_t stride(std::size_t d) const { return each ? d == 0 ? 0 : part.stride[d - 1] : part.stride[d]; }
  /// Is the parameter its tensor as it lies?
  [[nodiscard]] bool is_whole() const {
    return !each && part.first == 0 && part.shape == tensor_shape &&
           part.stride == lay_out(same, part.shape, parameter).stride;
  }
};

/// What the table says of a parameter of `rank` dimensions. `count(tensor)` is asked for the number of tensors where {}
/// counts them and the shape does not say. Errors: no row fits; a row whose {} or shape cannot be.
template <class Count>
Named find_name(const Names& names, std::string_view parameter, int rank, Count count) {
  for (const Name& row : names) {
    std::vector<std::string> numbers;
    if (row.parameter.empty() || !detail::fits(row.parameter, parameter, numbers, false)) continue;
    std::string tensor = row.tensor;
    for (const std::string& number : numbers)
      if (!detail::fill_in(tensor, number))
        fail("[names] ", row.tensor, ": has fewer {} than its parameter, ", row.parameter, ".");
    Named named{std::string(parameter), {tensor}, tensor.find("{}") != tensor.npos, row.shape, {}, {}, row.layout};
    if (named.each) {
      index_t n = -1;
      if (row.layout.blocks == 0 && static_cast<int>(row.shape.size()) == rank) {
        n = row.shape[0];
        named.tensor_shape.erase(named.tensor_shape.begin());
      } else {
        n = count(std::as_const(tensor));
      }
      named.tensors.clear();
      for (index_t i = 0; i < n; ++i) {
        detail::fill_in(named.tensors.emplace_back(tensor), std::to_string(i));
        if (named.tensors.back().find("{}") != tensor.npos)
          fail("[names] ", row.tensor, ": has two {} more than its parameter, ", row.parameter, ".");
      }
    }
    if (named.each && named.tensor_shape.empty()) fail("[names] ", row.tensor, ": counted tensors have dimensions.");
    named.part = lay_out(row.layout, named.tensor_shape, row.tensor);
    named.shape = named.part.shape;
    if (named.each) named.shape.insert(named.shape.begin(), static_cast<index_t>(named.tensors.size()));
    if (!byte_size(DType::f64, named.shape))
      fail("[names] ", row.parameter, ": the shape ", to_string(named.shape), " is larger than any file.");
    if (static_cast<int>(named.shape.size()) != rank)
      fail("[names] ", row.parameter, ": has ", rank, " dimensions, but ", to_string(named.shape),
           " in the table of names.");
    return named;
  }
  fail("[names] no row of the table fits the parameter ", printable(parameter), ".");
}

/// How much of a tensor its parameters take together.
class Coverage {
 public:
  /// Does this part take elements of which none is taken? Otherwise it is a copy, or else others stay missing.
  bool add(const std::vector<index_t>& tensor_shape, const Strided& part, const Layout& layout) {
    if (taken_.empty()) missing_ = detail::product(tensor_shape);
    if (std::any_of(taken_.begin(), taken_.end(), [&](const Layout& l) { return overlap(l, layout); })) return false;
    taken_.push_back(layout);
    missing_ -= detail::product(part.shape);
    return true;
  }
  [[nodiscard]] index_t missing() const { return missing_; }

 private:
  /// Of one tensor: other columns of equal steps, and other rows of equal blocks, lie apart.
  static bool overlap(const Layout& a, const Layout& b) {
    if (a.step == b.step && a.column != b.column) return false;
    return a.blocks != b.blocks || a.blocks == 0 || (a.row < b.row + b.rows && b.row < a.row + a.rows);
  }

  std::vector<Layout> taken_;
  index_t missing_ = 0;
};

/// The whole shape of a parameter by the table; `known` has the extents that its type knows, 0 or dyn for the others.
/// Throws where they do not agree, no row fits, or nobody says how many tensors there are.
inline std::vector<index_t> named_shape(const Names& names, std::string_view parameter,
                                        std::span<const index_t> known) {
  const Named named = find_name(names, parameter, static_cast<int>(known.size()), [&](const std::string& tensor) {
    if (known[0] < 1) fail("[names] ", tensor, ": say how many there are of it, first in its shape.");
    return known[0];
  });
  for (std::size_t d = 0; d < known.size(); ++d)
    if (known[d] > 0 && known[d] != named.shape[d])
      fail("[names] ", std::string(parameter), ": dimension ", static_cast<index_t>(d), " is ", known[d],
           " in the model's type, ", named.shape[d], " in the table.");
  return named.shape;
}

/// Does the table say that the model has no use for this tensor?
inline bool is_unused(const Names& names, std::string_view tensor) {
  return std::any_of(names.begin(), names.end(), [&](const Name& row) {
    std::vector<std::string> numbers;
    return row.parameter.empty() && detail::fits(row.tensor, tensor, numbers, true);
  });
}

}  // namespace tess::io
