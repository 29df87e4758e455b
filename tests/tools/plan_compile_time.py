#!/usr/bin/env python3
"""How long the compiler thinks about a plan: many plans in one file, less the same file without them.

plan_compile_time.py [--compiler g++] [--summary FOLDER]

Processor time, which busy neighbours change little, beside the budget: 50 ms on two axes, 200 ms on three, 2 s on four.
No test depends on it. Specs are drawn from a fixed seed, of ranks 1 to 3, a third of the sources with pending sums.
"""
import argparse
import os
import pathlib
import random
import subprocess
import sys
import tempfile

INCLUDE = pathlib.Path(__file__).resolve().parents[2] / "include"
CASES = [([2, 4], 40, 0.050), ([2, 3, 4], 20, 0.200), ([2, 3, 4, 6], 8, 2.0)]  # sizes of the axes, plans, budget in s
NAMES = "abcd"


def seconds(compiler, source):
    command = [compiler, "-std=c++20", "-fsyntax-only", "-I", str(INCLUDE), str(source)]
    process = subprocess.Popen(command)
    _, status, usage = os.wait4(process.pid, 0)
    if status != 0:
        sys.exit(f"failed: {' '.join(command)}")
    return usage.ru_utime + usage.ru_stime


def spec(draw, axes, rank, pending):
    """A random spec, as it stands in C++."""
    dims, sums = [[] for _ in range(rank)], []
    for axis in draw.sample(axes, len(axes)):
        where = draw.randrange(rank + 2)
        if pending and draw.randrange(3) == 0:
            sums.append(axis)
        elif where < rank:
            dims[where].append(axis)
    entries = ["None" if not d else d[0] if len(d) == 1 else f"Axes<{', '.join(d)}>" for d in dims]
    return f"P<{', '.join(entries + ([f'Partial<{chr(44).join(sums)}>'] if sums else []))}>"


def plans(sizes, count):
    draw, found = random.Random(7), set()
    axes = list(NAMES[: len(sizes)])
    while len(found) < count:
        rank = draw.randrange(1, 4)
        source, target = spec(draw, axes, rank, draw.randrange(3) == 0), spec(draw, axes, rank, False)
        if source != target:
            found.add(f"reshard_plan<Shape<{', '.join(['4608'] * rank)}>, {source}, {target}, M>")
    return sorted(found)


def measure(compiler, sizes, count):
    mesh = ", ".join(f"Axis<{name}, {size}>" for name, size in zip(NAMES, sizes))
    top = ("#include <tess/comm/plan.hpp>\nnamespace {\nusing namespace tess;\n"
           + "".join(f"struct {name};\n" for name in NAMES) + f"using M = Mesh<{mesh}>;\n")
    with tempfile.TemporaryDirectory() as folder:
        source = pathlib.Path(folder, "plans.cpp")
        times = []
        for uses in ([], [f"static_assert({plan}::count >= 0);\n" for plan in plans(sizes, count)]):
            source.write_text(top + "".join(uses) + "}\n")
            times.append(min(seconds(compiler, source) for _ in range(2)))
    return (times[1] - times[0]) / count


def main():
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--compiler", default="g++")
    arguments.add_argument("--summary", type=pathlib.Path)
    given = arguments.parse_args()
    for sizes, count, budget in CASES:
        mean = measure(given.compiler, sizes, count)
        what = f"compile time of a plan, {len(sizes)} axes"
        result = f"{1000 * mean:.0f} ms, mean of {count} (budget {1000 * budget:.0f} ms)"
        print(f"{what}: {result}", flush=True)
        if given.summary:
            given.summary.mkdir(parents=True, exist_ok=True)
            (given.summary / f"plan_compile_time_{len(sizes)}.tsv").write_text(f"proof\t{what}\t{result}\n")


if __name__ == "__main__":
    main()
