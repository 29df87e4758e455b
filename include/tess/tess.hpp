// The whole library but CUDA and MPI. The headers of single folders compile faster: tess/ops/, tess/nn/, … .
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "core/type_name.hpp"
#include "device/trace.hpp"
#include "io/checkpoint.hpp"
#include "io/fill.hpp"
#include "io/json.hpp"
#include "io/safetensors.hpp"
#include "nn/combinators.hpp"
#include "nn/embedding.hpp"
#include "nn/moe_layer.hpp"
#include "nn/multi_head_attention.hpp"
#include "nn/rms_norm.hpp"
#include "sharding/partition_rules.hpp"
#include "sharding/spec_text.hpp"
#include "tensor/view.hpp"
#include "version.hpp"
