#!/usr/bin/env python3
"""The table at the end of `ctest -L sharding`, from the lines that the tests wrote (tests/support/summary.hpp).

sharding_summary.py clear FOLDER    before the tests
sharding_summary.py print FOLDER    after them; nothing where no test of sharding has run
"""
import pathlib
import sys

COLUMNS = ["rows", "same", "stricter", "better", "unexplained"]


def read(folder):
    """Lines as (kind, name, values...), rows of golden files first."""
    lines = [file.read_text().rstrip("\n").split("\t") for file in sorted(folder.glob("*.tsv"))]
    return [l for l in lines if l[0] == "rows"], [l for l in lines if l[0] == "proof"]


def table(rows, proofs):
    width = max(len(l[1]) for l in rows + proofs) + 2
    if rows:
        yield "golden file".ljust(width) + "".join(c.rjust(13) for c in COLUMNS)
        for _, name, *counts in rows:
            yield name.ljust(width) + "".join(c.rjust(13) for c in counts)
    if rows and proofs:
        yield ""
    for _, name, result in proofs:
        yield name.ljust(width) + result


def main(mode, folder):
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    if mode == "clear":
        for file in folder.glob("*.tsv"):
            file.unlink()
    elif any(read(folder)):
        print("\nThe sharding algebra, as the tests of this run found it:\n", *table(*read(folder)), "", sep="\n")


if __name__ == "__main__":
    if len(sys.argv) != 3 or sys.argv[1] not in ("clear", "print"):
        sys.exit(__doc__)
    main(*sys.argv[1:])
