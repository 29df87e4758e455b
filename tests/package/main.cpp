// A stranger's program: what a newcomer writes on the first day, built through every way of taking the library in.
// SPDX-License-Identifier: Apache-2.0
#include <cstdio>
#include <tess/tensor/dtype.hpp>
#include <tess/tensor/view.hpp>
#include <tess/version.hpp>

static_assert(TESS_VERSION_MAJOR == 0 && TESS_VERSION_MINOR >= 1);

int main() {
  tess::bf16 storage[6] = {};
  const tess::View<tess::bf16, tess::Shape<tess::dyn, 3>> x(storage, tess::Extents<tess::Shape<tess::dyn, 3>>(2));
  x(1, 2) = tess::bf16(1.5f);
  std::printf("tess " TESS_VERSION ": %g\n", double(storage[5]));
  return storage[5] == 1.5f && x.size() == 6 ? 0 : 1;
}
