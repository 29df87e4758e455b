#!/usr/bin/env python3
"""What every source file has: a first line that says what it is, the licence, and a size one can read.

check_sources.py <repository>
"""
import pathlib
import re
import sys

SPDX = "// SPDX-License-Identifier: Apache-2.0"
FOLDERS = ["include", "examples", "bench", "tests"]
HEADER_LINES = 400
COLUMNS = 120


def check(root):
    """Yields one sentence for every broken rule."""
    files = [f for folder in FOLDERS for f in sorted((root / folder).rglob("*")) if f.suffix in (".hpp", ".cpp", ".cu", ".h")]
    for file in files:
        name = file.relative_to(root)
        lines = file.read_text().splitlines()
        if len(lines) < 2 or not re.match(r"// \S", lines[0]):
            yield f"{name}: the first line is a comment of one sentence that says what the file is"
        if lines and len(lines[0]) > COLUMNS:
            yield f"{name}: the first line has more than {COLUMNS} columns; clang-format would fold it into the second"
        if SPDX not in lines[:12]:
            yield f"{name}: the second line is '{SPDX}'"
        if file.suffix == ".hpp" and "#pragma once" not in lines[:12]:
            yield f"{name}: a header has '#pragma once'"
        if name.parts[0] == "include" and len(lines) > HEADER_LINES:
            yield f"{name}: {len(lines)} lines; past {HEADER_LINES}, split it by idea"
        if not name.name.endswith("_test.cpp") and re.search(r"^\s*TEST_CASE\w*\(", "\n".join(lines), re.MULTILINE):
            yield f"{name}: test cases stand in *_test.cpp; ctest runs no others"


if __name__ == "__main__":
    faults = list(check(pathlib.Path(sys.argv[1]).resolve()))
    print("\n".join(faults))
    sys.exit(1 if faults else 0)
