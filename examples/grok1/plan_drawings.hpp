// The drawings of a plan's page, as SVG: the timeline of a pass, and the shards of a parameter.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <string>

#include "plan.hpp"

namespace grok1 {

/// Text inside HTML and SVG.
std::string escaped(const std::string& text);

/// The pass as one bar, one of its layers enlarged below: computing above, collectives under it, over time.
std::string timeline_svg(const MeshPlan& plan, Phase phase, const std::vector<Leaf>& all);

/// The calls of one layer (or of the pass, where nothing is repeated): [first, last) of the timeline's events.
tess::Repetition layer_calls(const tess::Timeline& timeline);

/// A class of the page's style: "compute", "over-data" or "over-model".
std::string lane_of(const tess::Event& event);

/// The tiles of a parameter over two of its dimensions; in each the numbers of the devices that hold it.
std::string shards_svg(const tess::MeshValue& mesh, const LeafShard& shard);

}  // namespace grok1
