// The mesh data=2 model=2 of explicit_ops.csv as a type, and all specs over it of ranks 1 and 2: for rows as types.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <string>
#include <vector>

#include <tess/sharding/spec_value.hpp>

namespace support::jax {

using namespace tess;

struct data;
struct model;
using M = Mesh<Axis<data, 2>, Axis<model, 2>>;
inline const std::vector<std::string> names = {"data", "model"};

template <class... S>
struct Specs {};
using Rank1 = Specs<P<>, P<data>, P<model>, P<Axes<data, model>>, P<Axes<model, data>>>;
using Rank2 = Specs<P<>, P<data>, P<model>, P<Axes<data, model>>, P<Axes<model, data>>, P<None, data>, P<None, model>,
                    P<None, Axes<data, model>>, P<None, Axes<model, data>>, P<data, model>, P<model, data>>;

}  // namespace support::jax
