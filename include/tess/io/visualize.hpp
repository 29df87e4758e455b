// visualize: prints which device holds which part of a tensor, in colours where a terminal shows them.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <unistd.h>

#include <cstdio>
#include <cstdlib>

#include "../comm/picture.hpp"
#include "../sharding/sharded_tensor.hpp"

namespace tess {

namespace detail {
/// Colours are for terminals whose user wants them (https://no-color.org).
inline bool shows_colours(std::FILE* out) {
  const char* refused = std::getenv("NO_COLOR");
  return isatty(fileno(out)) != 0 && (refused == nullptr || *refused == '\0');
}
}  // namespace detail

/// The tiles that each device holds, as boxes with the devices' numbers (comm/picture.hpp), and an empty line.
inline void visualize(const Picture& picture, std::FILE* out = stdout) {
  std::fprintf(out, "%s\n", (detail::shows_colours(out) ? picture.coloured() : picture.text()).c_str());
}

/// `visualize<P<data, model>>(Grid{}, Shape<4096, 6144>{})`. Needs no devices and no tensor. (JAX:
/// jax.debug.visualize_sharding.) Throws Error when a run-time extent does not divide.
template <AnySpec Spec, AnyMesh M, class S>
requires(AnyShape<S>) void visualize(M mesh, S shape) { visualize(picture<Spec>(mesh, shape)); }
template <AnySpec Spec, AnyMesh M, AnyShape S>
void visualize(M mesh, const Extents<S>& extents) {
  visualize(picture<Spec>(mesh, extents));
}

/// `visualize(x)`. (JAX: jax.debug.visualize_array_sharding.)
template <AnyTensor X>
void visualize(const X& x) {
  visualize(picture<typename X::spec>(typename X::mesh{}, x.extents()));
}

}  // namespace tess
