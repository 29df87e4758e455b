// The pictures of a plan: where the tensor lies before it, and after each of its steps.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "describe.hpp"
#include "picture.hpp"

namespace tess {

/// Of a plan of n steps n + 1 pictures, the first of the source; their titles are the lines of `describe`.
template <AnyShape S, AnySpec From, AnySpec To, AnyMesh M, PlanPolicy Policy = FewestBytes, index_t ElementBytes = 4>
requires(S::is_static) std::vector<Picture> plan_pictures() {
  using planned = detail::planned<S, From, To, M, Policy, ElementBytes>;
  using Fine = typename planned::mesh;
  constexpr Plan plan = planned::value;
  const std::vector<index_t> extents(S::extents.begin(), S::extents.end());
  std::vector<Picture> pictures;
  std::string words = describe<S, From, To, M, Policy, ElementBytes>();
  const auto draw = [&](const SpecValue& spec) {
    const std::size_t end = words.find('\n');
    pictures.emplace_back(tiling(mesh_value<Fine>, spec), extents, words.substr(0, end));
    words.erase(0, end + 1);
  };
  draw(plan.source);
  for (int i = 0; i < plan.size; ++i) draw(plan[i].after);
  return pictures;
}

}  // namespace tess
