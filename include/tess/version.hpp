// The version of the library, for the preprocessor, and for CMake, which reads it here.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#define TESS_VERSION_MAJOR 0
#define TESS_VERSION_MINOR 1
#define TESS_VERSION_PATCH 0
#define TESS_VERSION "0.1.0"
