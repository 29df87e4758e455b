// CUDA: NVIDIA GPUs as a device, and checkpoints into their memory. Beside tess.hpp; needs the CUDA Toolkit.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "device/cuda.hpp"
#include "device/cuda/environment.hpp"
#include "device/cuda/upload.hpp"
