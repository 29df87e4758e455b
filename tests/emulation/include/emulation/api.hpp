// The functions of the CUDA runtime that the library uses, with its errors.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "api_device.hpp"
#include "api_graph.hpp"
#include "api_kernel.hpp"
#include "api_memory.hpp"
#include "api_stream.hpp"
