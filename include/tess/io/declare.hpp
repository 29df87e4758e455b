// declare_parameters: the sizes of a model that stores nothing, from its table of names; then it can be billed.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <algorithm>
#include <array>
#include <vector>

#include "../sharding/sharded_tensor.hpp"
#include "names.hpp"

namespace tess::io {

/// Gives every parameter of a model on Dry the extents that the table says. A bill at run time, of a model whose sizes are
/// known only then, begins so. Throws Error where no row fits a parameter, or the type says another size.
template <class Model>
void declare_parameters(Model& model, const Names& names) {
  model.parameters([&](const auto& path, auto& x) {
    using X = std::remove_reference_t<decltype(x)>;
    const std::vector<index_t> shape = named_shape(names, path.path(), x.extents().array());
    std::array<index_t, static_cast<std::size_t>(X::rank)> all{};
    std::copy(shape.begin(), shape.end(), all.begin());
    x = X(Extents<typename X::shape>::from(all), {});
  });
}

}  // namespace tess::io
